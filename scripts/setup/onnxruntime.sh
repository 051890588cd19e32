# shellcheck shell=bash disable=SC2154  # the folders are set in common.sh
# The ONNX Runtime library, from a wheel. On x86-64 this is the build with OpenVINO: on processors with AMX it runs our
# models several times as fast. It also has ONNX Runtime's own provider.

folder=onnxruntime
machine=$(uname -m)
case $machine in
  x86_64)
    package=onnxruntime-openvino==1.24.1
    platform=manylinux_2_28_x86_64
    wheel=onnxruntime_openvino-1.24.1-cp311-cp311-manylinux_2_28_x86_64.whl
    sum=3007c803634cc69c6d52af1dea7ce729d9bb62b9a11070fd2f959119199007a8
    library=libonnxruntime.so.1.24.1
    ;;
  aarch64)
    package=onnxruntime==1.32.0
    platform=manylinux_2_28_aarch64
    wheel=onnxruntime-1.32.0-cp311-cp311-manylinux_2_28_aarch64.whl
    sum=2303372a85299b6757b0e11e1cbf13e410ddf7e10c37f4b37e99d1c90e7daf7c
    library=libonnxruntime.so.1.32.0
    ;;
  *) package='' ;;
esac

title() { echo "ONNX Runtime${package:+ (${package/==/ })}"; }
cost() { echo "30 to 85 MB from the package index"; }

check() {
  [ -n "$package" ] && whole "$cache/$folder" "onnxruntime-$machine" &&
    [ "$(readlink "$cache/$folder/libonnxruntime.so")" = "$library" ]
}

make() {
  [ -n "$package" ] || die "no ONNX Runtime is packaged for $machine; x86_64 and aarch64 are supported"
  local new
  # Only the libraries are used, so the wheel may be for another Python version.
  fetch "$wheel" "$sum" --only-binary=:all: --python-version 3.11 --implementation cp --abi cp311 \
    --platform "$platform" "$package"
  new=$(new_folder)
  "$venv/bin/python" "$scripts/unpack.py" "$downloads/$wheel" "$scripts/checksums/onnxruntime-$machine.sha256" \
    "$new" onnxruntime/capi onnxruntime
  ln -s "$library" "$new/libonnxruntime.so"
  install_folder "$new" "$folder" "onnxruntime-$machine"
}

advice() {
  if [ -n "$package" ]; then index_advice "$package"; else echo "use an x86_64 or aarch64 machine"; fi
}
