# Runs last in each bake. What identifies one machine is made by the node when it first starts.
set -eu
apt-get -qq clean
[ "${keep_lists:-}" = True ] || rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin
rm -rf /var/cache/debconf/*-old /var/lib/dpkg/*-old \
    /root/.ansible /root/.cache /root/.bash_history
rm -f /etc/ssh/ssh_host_*
[ "${keep_lists:-}" = True ] || rm -f /usr/lib/python3/dist-packages/lab_key.py
[ ! -e /etc/machine-id ] || : >/etc/machine-id
find /tmp /var/tmp -mindepth 1 -delete
# The snoopy library logs into exec.log what follows its emptying, so that comes last.
find /var/log -type f ! -name exec.log -exec truncate -s 0 {} +
[ ! -e /var/log/exec.log ] || : >/var/log/exec.log
