# shellcheck shell=bash disable=SC2154  # the folders are set in common.sh
# Footage of a street for the benchmark: one file of Debian's package opencv-doc, which is not installed.

package=opencv-doc
version=4.6.0+dfsg-12
inside=./usr/share/doc/opencv-doc/examples/data/vtest.avi

title() { echo "footage of a street ($package)"; }
cost() { echo "96 MB from Debian"; }
check() { whole "$cache/street" street; }

make() {
  local new temp
  { command -v apt-get && command -v dpkg-deb; } >/dev/null || die "no apt-get and dpkg-deb here"
  temp=$(new_folder)
  (cd "$temp" && apt-get download "$package=$version")
  new=$(new_folder)
  dpkg-deb --fsys-tarfile "$temp"/*.deb | tar --extract --to-stdout --file - "$inside" >"$new/${inside##*/}"
  rm -rf "$temp"
  install_folder "$new" street street
}

advice() {
  echo "check that 'apt-get download $package=$version' works on this Debian 12 (it may need 'apt-get update'), then run this again; or measure without this footage: SETS=heads benches/run.sh"
}
