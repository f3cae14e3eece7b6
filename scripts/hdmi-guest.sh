#!/usr/bin/env bash
# Builds `kernel` and `initrd` of the virtual machine of tests/hdmi in the cache, and prints their folder.
#
# The kernel is Debian's stock kernel, whose vivid driver emulates an HDMI input. It is unpacked, never installed.
source "$(dirname "$0")/common.sh"

GUEST=$ROOT/tests/hdmi/guest

has_lists() { [[ -n $(apt-cache pkgnames linux-image-amd64 2>/dev/null) ]]; }

# Newest kernel that apt knows, for example linux-image-6.1.0-56-amd64.
newest() {
    apt-cache depends --no-recommends --no-suggests linux-image-amd64 \
        | awk '$1 == "Depends:" && $2 ~ /^linux-image-[0-9].*-amd64$/ { print $2; exit }'
}

for program in apt-get dpkg-deb busybox; do
    command -v "$program" >/dev/null || die "$program is missing: this test needs Debian and the packages of scripts/setup.sh."
done
has_lists || ((EUID != 0)) || apt-get update -q >&2
has_lists || die "apt does not know linux-image-amd64. An administrator must run: apt-get update"
package=$(newest)
[[ -n $package ]] || die "apt does not name the kernel of linux-image-amd64."
version=$(apt-cache show --no-all-versions "$package" | awk '$1 == "Version:" { print $2; exit }')

folder=$CACHE/hdmi/$package-$version-$(content_hash "$GUEST" "$ROOT/scripts/hdmi-guest.sh")
if [[ ! -d $folder ]]; then
    say "Unpacking $package $version (70 MB, 10 s)" >&2
    mkdir -p "$CACHE/hdmi"
    work=$(mktemp -d "$CACHE/hdmi/partial.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    # By default apt downloads as another user, who cannot write to this folder.
    (cd "$work" && apt-get -q -o APT::Sandbox::User=root download "$package=$version" >&2)
    root=$work/root
    mkdir -p "$root"/{bin,changes,dev,host,proc,root,sys} "$work/out"
    dpkg-deb --fsys-tarfile "$work"/*.deb | tar -x -C "$root" --wildcards \
        './boot/vmlinuz-*' '*/modules.order' '*/modules.builtin*' \
        '*/kernel/arch/x86/crypto/crc32*' '*/kernel/crypto/crc32*' '*/kernel/lib/*' \
        '*/kernel/drivers/block/virtio_blk.ko*' '*/kernel/drivers/virtio/*' \
        '*/kernel/drivers/media/cec/*' '*/kernel/drivers/media/common/*' '*/kernel/drivers/media/mc/*' \
        '*/kernel/drivers/media/rc/rc-core.ko*' '*/kernel/drivers/media/test-drivers/vivid/*' \
        '*/kernel/drivers/media/v4l2-core/*' \
        '*/kernel/fs/9p/*' '*/kernel/fs/ext4/*' '*/kernel/fs/fscache/*' '*/kernel/fs/jbd2/*' \
        '*/kernel/fs/mbcache.ko*' '*/kernel/fs/netfs/*' '*/kernel/fs/overlayfs/*' '*/kernel/net/9p/9pnet*'
    mv "$root"/boot/vmlinuz-* "$work/out/kernel"
    rmdir "$root/boot"
    modules=("$root"/lib/modules/*)
    busybox depmod -b "$root" "${modules[0]##*/}"
    cp "$(command -v busybox)" "$root/bin/busybox"
    install -m 755 "$GUEST/init" "$root/init"
    cp "$GUEST/serve.sh" "$root/"
    (cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$work/out/initrd"
    rm -rf "$CACHE"/hdmi/linux-image-*
    mv "$work/out" "$folder"
fi
printf '%s\n' "$folder"
