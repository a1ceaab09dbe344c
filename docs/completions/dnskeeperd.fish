# fish completion for dnskeeperd. Made by "npm run documents" from src/control/command-table.ts; do not edit.
complete -c dnskeeperd -f
complete -c dnskeeperd -l root -x -a '(__fish_complete_directories)' -d 'Put DIR before every path (tests, demos, containers)'
complete -c dnskeeperd -l config -r -F -d 'Read FILE instead of /etc/dnskeeper/config.toml'
complete -c dnskeeperd -l check -d 'Check the configuration, report what is wrong, and exit'
complete -c dnskeeperd -l record -r -F -d 'Write every source event to FILE, one JSON object per line'
complete -c dnskeeperd -l replay -r -F -d 'Take source events from a recording instead of the system'
complete -c dnskeeperd -l paced -d 'With --replay: keep the recorded times between events'
complete -c dnskeeperd -l once -d 'Apply what the sources say once, then exit; with --replay: after the last event'
complete -c dnskeeperd -l log-level -x -a 'error warn info debug' -d 'How much to log, over log.level of the configuration'
complete -c dnskeeperd -l user -d 'Run in user mode, also as root'
complete -c dnskeeperd -l help -s h -d 'Print this help'
complete -c dnskeeperd -l version -d 'Print the version'
