# The command resolvconf is ours where no other package has one: systemd-resolved's leads to whoever is in charge, too.
ours=../lib/dnskeeper/resolvconf

link_resolvconf() {
    if [ ! -e /usr/sbin/resolvconf ] && [ ! -L /usr/sbin/resolvconf ]; then
        ln -s $ours /usr/sbin/resolvconf
    fi
}

unlink_resolvconf() {
    if [ "$(readlink /usr/sbin/resolvconf || true)" = $ours ]; then rm -f /usr/sbin/resolvconf; fi
}
