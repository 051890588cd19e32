# shellcheck shell=bash disable=SC2154  # the folders are set in common.sh
# Debian packages. Parts: demo (compilers and linked libraries), test (programs that only tests and linters run), rules (tools
# that build components from JavaScript rules), browser (for the tests of the dashboard).

choose() {
  case $1 in
    demo)
      packages=(
        build-essential pkg-config ca-certificates git python3 python3-venv
        libopencv-dev clang libclang-dev   # the opencv crate reads OpenCV's headers with libclang
        libjpeg62-turbo-dev                # decodes JPEG straight into BGR
        libavformat-dev libavcodec-dev libavutil-dev libswscale-dev   # read cameras
        libssl-dev zlib1g-dev              # for librdkafka
      )
      ;;
    test) packages=(ffmpeg kcat mosquitto mosquitto-clients shellcheck) ;;   # ffmpeg encodes for the tests' cameras
    rules) packages=(nodejs npm) ;;
    browser) packages=(chromium) ;;
    *) die "no such part: $1" ;;
  esac
}

title() { echo "system packages for $1"; }
cost() {
  case $1 in
    demo) echo "up to 400 MB from Debian, a minute or two" ;;
    rules) echo "up to 200 MB from Debian, a minute or two" ;;
    browser) echo "up to 150 MB from Debian, half a minute" ;;
    *) echo "seconds" ;;
  esac
}

missing() {
  local package
  choose "$1"
  for package in "${packages[@]}"; do
    dpkg-query --show --showformat='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
      echo "$package"
  done
}

check() {
  # Any source is accepted: it is often newer than Debian's.
  if [ "$1" = rules ]; then node_is_new_enough && command -v npm; return; fi
  choose "$1"
  command -v dpkg-query >/dev/null || { echo "not a Debian system: install by hand: ${packages[*]}"; return 1; }
  # One call for all packages. The slower check, which ones are missing, runs only if needed.
  local installed
  installed=$(dpkg-query --show --showformat='${db:Status-Status}\n' "${packages[@]}" 2>/dev/null | grep -cx installed)
  [ "$installed" -eq ${#packages[@]} ]
}

node_is_new_enough() {
  local version
  version=$(node --version) || return
  version=${version#v}
  [ "${version%%.*}" -ge 18 ] || { echo "node is $version, which is older than 18"; return 1; }
}

make() {
  choose "$1"
  command -v apt-get >/dev/null || die "no apt-get here; these are needed: ${packages[*]}"
  local as_root=() wanted
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || die "neither root nor sudo; ask someone who is to install: $(missing "$1" | tr '\n' ' ')"
    as_root=(sudo)
  fi
  mapfile -t wanted < <(missing "$1")
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${wanted[@]}"
}

advice() { echo "run 'apt-get install $(missing "$1" | tr '\n' ' ' | sed 's/ $//')' as root and read what it says, then run this again"; }
