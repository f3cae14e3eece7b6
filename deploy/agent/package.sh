#!/usr/bin/env bash
# Packages a built capture agent for Debian: package.sh BINARY [FOLDER]
# Writes sortie-capture-agent_VERSION_ARCH.deb to FOLDER (default: the current folder).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
binary=${1:?usage: package.sh BINARY [FOLDER]}
to=$(cd "${2:-.}" && pwd)
version=$("$binary" --version | cut -d' ' -f2)
architecture=$(dpkg --print-architecture)

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
install -Dm755 "$binary" "$root/usr/bin/sortie-capture-agent"
install -Dm644 "$here/sortie-capture-agent.service" "$root/lib/systemd/system/sortie-capture-agent.service"
install -Dm644 "$here/60-sortie-capture.rules" "$root/lib/udev/rules.d/60-sortie-capture.rules"
install -Dm600 "$here/capture-agent.toml" "$root/etc/sortie/capture-agent.toml"
install -Dm755 "$here/postinst" "$root/DEBIAN/postinst"
install -Dm755 "$here/prerm" "$root/DEBIAN/prerm"
echo /etc/sortie/capture-agent.toml >"$root/DEBIAN/conffiles"

# Linked libraries. GStreamer plugins are loaded at run time and listed below.
libraries=$(cd "$root" && mkdir -p debian && : >debian/control \
    && dpkg-shlibdeps -O usr/bin/sortie-capture-agent 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
rm -rf "$root/debian"
cat >"$root/DEBIAN/control" <<CONTROL
Package: sortie-capture-agent
Version: $version
Architecture: $architecture
Maintainer: Sortie Recording <maintainers@users.noreply.sortie-recording.example>
Section: video
Priority: optional
Installed-Size: $(du -sk "$root/usr" | cut -f1)
Depends: adduser, gstreamer1.0-plugins-base, gstreamer1.0-plugins-good, gstreamer1.0-plugins-bad, ${libraries:-libc6}
Recommends: gstreamer1.0-plugins-ugly
Description: HDMI recorder that loses at most one second in a power cut
 Records HDMI receivers and USB grabbers as H.264 in MP4, automatically when
 there is a signal or from its web page, and limits its use of the disk.
CONTROL

dpkg-deb --root-owner-group --build "$root" "$to" | sed 's/^dpkg-deb: //'
