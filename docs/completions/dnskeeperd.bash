# bash completion for dnskeeperd. Made by "npm run documents" from src/control/command-table.ts; do not edit.

_dnskeeperd() {
  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" command="" each
  COMPREPLY=()
  case "$before" in
    --log-level) COMPREPLY=($(compgen -W 'error warn info debug' -- "$word")); return ;;
    --root) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
    --config|--record|--replay) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
  esac
  case "$command" in
    *) COMPREPLY=($(compgen -W '--root --config --check --record --replay --paced --once --log-level --user --help -h --version' -- "$word")) ;;
  esac
}

complete -F _dnskeeperd dnskeeperd
