# Whether /etc/resolv.conf names a server that will still be there without dnskeeper.
names_resolve() {
    case "$(readlink /etc/resolv.conf || true)" in */run/dnskeeper/* | run/dnskeeper/*) return 1 ;; esac
    servers=$(sed -n 's/^[[:space:]]*nameserver[[:space:]]\{1,\}\([^[:space:]]*\).*/\1/p' /etc/resolv.conf 2>/dev/null) || return 1
    for server in $servers; do
        case "$server" in
        # The stub of systemd-resolved: its file outlives it.
        127.0.0.53 | 127.0.0.54)
            [ -d /run/systemd/system ] && systemctl --quiet is-active systemd-resolved.service && return 0
            ;;
        *) return 0 ;;
        esac
    done
    return 1
}

# The last real servers as a plain file, where nothing else would resolve names.
keep_names() {
    if names_resolve; then return 0; fi
    last=/run/dnskeeper/upstream.conf
    if ! grep -q '^nameserver' $last 2>/dev/null; then
        echo "dnskeeper: /etc/resolv.conf names no server in reach, and none was in force before." >&2
        return 0
    fi
    was=$(readlink /etc/resolv.conf || true)
    new=/etc/resolv.conf.dnskeeper-new
    # A file that is mounted there cannot be replaced, only written.
    if plain_copy $last >$new && chmod 644 $new && mv -f $new /etc/resolv.conf 2>/dev/null || plain_copy $last >/etc/resolv.conf; then
        echo "dnskeeper: /etc/resolv.conf${was:+ (the link to $was)} led to no server in reach; it is now a plain copy of the last servers in force."
    else
        echo "dnskeeper: /etc/resolv.conf names no server in reach and could not be written; the last servers were:" >&2
        grep '^nameserver' $last >&2 || true
    fi
    rm -f $new
}

# Without the header of the file, which says that dnskeeper writes it.
plain_copy() {
    echo '# The last DNS servers that dnskeeper knew. Nothing updates this file now.'
    grep -v '^[#;]' "$1"
}
