# Gathers what a machine starts from: Debian's kernel, and a first root of one static program and four drivers.
set -eu
version=$(ls /lib/modules)
mkdir -p /lab/root/bin /lab/root/dev /lab/root/proc /lab/root/sys /lab/root/new /lab/root/modules
cp "/boot/vmlinuz-$version" /lab/vmlinuz
cp /bin/busybox /lab/root/bin/busybox
cp "$1" /lab/root/init
chmod 755 /lab/root/init
for it in net/core/failover drivers/net/net_failover drivers/net/virtio_net drivers/block/virtio_blk; do
    busybox unxz -c "/lib/modules/$version/kernel/$it.ko.xz" >"/lab/root/modules/${it##*/}.ko"
done
(cd /lab/root && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >/lab/initrd
rm -r /lab/root
