# Gathers what a machine starts from: Debian's kernel, and a first root of one static program and four drivers.
# The kernel's package is unpacked and not installed: what installing it brings along is for machines that have it.
set -eu
cd "$(mktemp -d)"
package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-.*\)/\1/p')
apt-get -qq -o APT::Sandbox::User=root download "$package"
dpkg-deb -x ./*.deb .
version=${package#linux-image-}
mkdir -p /lab root/bin root/dev root/proc root/sys root/new root/modules
mv "boot/vmlinuz-$version" /lab/vmlinuz
cp /bin/busybox root/bin/busybox
mv /lab/init root/init
modules=$(dirname "$(find . -type d -path "*/lib/modules/$version/kernel")")
for it in net/core/failover drivers/net/net_failover drivers/net/virtio_net drivers/block/virtio_blk; do
    busybox unxz -c "$modules/kernel/$it.ko.xz" >"root/modules/${it##*/}.ko"
done
(cd root && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >/lab/initrd
dpkg-deb -f ./*.deb Package Version | sed 's/^[^ ]* //' >/lab/kernel
cd / && rm -r "$OLDPWD"
rm -f /etc/ld.so.preload # what is started beside a machine is nobody's to watch
