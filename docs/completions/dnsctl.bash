# bash completion for dnsctl. Made by "npm run documents" from src/control/command-table.ts; do not edit.

_dnsctl() {
  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" command="" each
  COMPREPLY=()
  case "$before" in
    --root) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$word"); return ;;
    --output) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
    --name) COMPREPLY=($(compgen -A hostname -- "$word")); return ;;
    --lines|-n|--lines|-n) return ;;
    --for|--for) return ;;
  esac
  for each in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$each" in status|explain|query|flush|cache|statistics|metrics|top|history|monitor|profile|try|reload|takeover|release|give-way|stand-in|doctor) command="$each"; break ;; esac
  done
  case "$command" in
    status) COMPREPLY=($(compgen -W '--json --watch -w --root --user --help -h --version' -- "$word")) ;;
    explain) COMPREPLY=($(compgen -A hostname -W '--json --root --user --help -h --version' -- "$word")) ;;
    query) COMPREPLY=($(compgen -A hostname -W '--json --root --user --help -h --version' -- "$word")) ;;
    flush) COMPREPLY=($(compgen -A hostname -W '--root --user --help -h --version' -- "$word")) ;;
    cache) COMPREPLY=($(compgen -W '--json --name --lines -n --root --user --help -h --version' -- "$word")) ;;
    statistics) COMPREPLY=($(compgen -W '--json --root --user --help -h --version' -- "$word")) ;;
    metrics) COMPREPLY=($(compgen -W '--output --root --user --help -h --version' -- "$word")) ;;
    top) COMPREPLY=($(compgen -W '--json --once --hide-names --root --user --help -h --version' -- "$word")) ;;
    history) COMPREPLY=($(compgen -W '--json --lines -n --root --user --help -h --version' -- "$word")) ;;
    monitor) COMPREPLY=($(compgen -W '--json --root --user --help -h --version' -- "$word")) ;;
    profile) COMPREPLY=($(compgen -W 'list show use auto --json --for --root --user --help -h --version' -- "$word")) ;;
    try) if [[ $word == -* ]]; then COMPREPLY=($(compgen -W '--for --keep --back --root --user --help -h --version' -- "$word")); else compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$word"); fi ;;
    reload) COMPREPLY=($(compgen -W '--root --user --help -h --version' -- "$word")) ;;
    takeover) COMPREPLY=($(compgen -W '--root --user --help -h --version' -- "$word")) ;;
    release) COMPREPLY=($(compgen -W '--root --user --help -h --version' -- "$word")) ;;
    give-way) COMPREPLY=($(compgen -W '--root --user --help -h --version' -- "$word")) ;;
    stand-in) COMPREPLY=($(compgen -W '--root --user --help -h --version' -- "$word")) ;;
    doctor) COMPREPLY=($(compgen -W '--json --no-probe --root --user --help -h --version' -- "$word")) ;;
    *) COMPREPLY=($(compgen -W 'status explain query flush cache statistics metrics top history monitor profile try reload takeover release give-way stand-in doctor --root --user --help -h --version' -- "$word")) ;;
  esac
}

complete -F _dnsctl dnsctl
