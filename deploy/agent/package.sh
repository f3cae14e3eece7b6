#!/usr/bin/env bash
# Packages a built capture agent for Debian: package.sh BINARY [FOLDER]
# Writes sortie-capture-agent_VERSION_ARCH.deb to FOLDER (default: the current folder).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
binary=$(realpath "${1:?usage: package.sh BINARY [FOLDER]}")
to=$(cd "${2:-.}" && pwd)
version=$("$binary" --version | cut -d' ' -f2)
architecture=$(dpkg --print-architecture)
name=sortie-capture-agent

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
umask 022
share=$root/usr/share
install -Dm755 "$binary" "$root/usr/bin/$name"
# A script, as in tests, has no symbols.
! head -c4 "$binary" | grep -q ELF || strip --strip-unneeded --remove-section=.comment "$root/usr/bin/$name"
install -Dm644 "$here/$name.service" "$root/usr/lib/systemd/system/$name.service"
install -Dm644 "$here/60-sortie-capture.rules" "$root/usr/lib/udev/rules.d/60-sortie-capture.rules"
install -Dm600 "$here/capture-agent.toml" "$root/etc/sortie/capture-agent.toml"
for script in postinst prerm postrm; do
    install -Dm755 "$here/$script" "$root/DEBIAN/$script"
done
echo /etc/sortie/capture-agent.toml >"$root/DEBIAN/conffiles"

mkdir -p "$share/man/man1"
"$binary" man "$share/man/man1"
gzip -9n "$share/man/man1"/*.1
completions() { # SHELL FILE
    mkdir -p "$(dirname "$share/$2")"
    "$binary" completions "$1" >"$share/$2"
}
completions bash "bash-completion/completions/$name"
completions zsh "zsh/vendor-completions/_$name"
completions fish "fish/vendor_completions.d/$name.fish"

install -d "$share/doc/$name"
{
    cat "$here/copyright"
    # The text of the licence, indented as a paragraph of the field.
    sed 1,4d "$here/../../LICENSE-MIT" | sed 's/^$/./; s/^/ /'
} >"$share/doc/$name/copyright"
gzip -9nc "$here/../../CHANGELOG.md" >"$share/doc/$name/NEWS.md.gz"
{
    echo "$name ($version) unstable; urgency=medium"
    echo
    echo "  * See NEWS.md."
    echo
    echo " -- Sortie Recording <maintainers@users.noreply.sortie-recording.example>  $(date -Ru -d "@${SOURCE_DATE_EPOCH:-$(date +%s)}")"
} | gzip -9n >"$share/doc/$name/changelog.gz"
install -Dm644 "$here/lintian-overrides" "$share/lintian/overrides/$name"

# Linked libraries. GStreamer plugins are loaded at run time and listed below.
libraries=$(cd "$root" && mkdir -p debian && : >debian/control \
    && dpkg-shlibdeps -O "usr/bin/$name" 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
rm -rf "$root/debian"
(cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)
cat >"$root/DEBIAN/control" <<CONTROL
Package: $name
Version: $version
Architecture: $architecture
Maintainer: Sortie Recording <maintainers@users.noreply.sortie-recording.example>
Section: video
Priority: optional
Installed-Size: $(du -sk "$root/usr" | cut -f1)
Depends: adduser, gstreamer1.0-plugins-base, gstreamer1.0-plugins-good, gstreamer1.0-plugins-bad, tzdata, ${libraries:-libc6}
Recommends: gstreamer1.0-plugins-ugly
Description: HDMI recorder that loses at most one second in a power cut
 Records HDMI receivers and USB grabbers as H.264 in MP4, automatically when
 there is a signal or from its web page, and limits its use of the disk.
CONTROL

dpkg-deb --root-owner-group --build "$root" "$to" | sed 's/^dpkg-deb: //'
