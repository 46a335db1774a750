#!/bin/sh
# Removes from a virtual environment what the application never runs: tests, headers, and holoscan's GPU, video and demo operators with
# their libraries; then strips the libraries of their symbols. Run in the build stage; the warm-up after it runs the application, so a part
# that is missing fails the build.
#
# What looks removable and is not: torchgen, torch/{testing,distributed,export,quantization}, monai/apps.
set -eu
cd "$1"/lib/python3.11/site-packages

rm -rf torch/test torch/include torch/share
find torch/bin -type f ! -name torch_shm_manager -delete
rm -rf numpy/tests numpy/*/tests scipy/*/tests scipy/*/*/tests nibabel/tests nibabel/*/tests gevent/tests greenlet/tests zope/interface/tests
find . -type f \( -name '*.h' -o -name '*.hpp' -o -name '*.cuh' -o -name '*.a' -o -name '*.pyi' -o -name '*.pxd' -o -name '*.pyx' -o -name '*.cmake' \) -delete

cd holoscan
# The operators that monai.deploy.operators imports.
kept='ping_rx ping_tx video_stream_recorder video_stream_replayer'
for operator in operators/*/; do
  case " $kept " in *" $(basename "$operator") "*) ;; *) rm -rf "$operator" ;; esac
done
for library in lib/libholoscan_op_*; do
  case " $kept video_io " in *" $(basename "$library" | sed 's/^libholoscan_op_//; s/\.so.*//') "*) ;; *) rm "$library" ;; esac
done
rm -rf pose_tree data_loggers lib/ucx
rm -f lib/libholoscan_viz* lib/libholoscan_infer* lib/libholoinfer_utils* lib/libholoscan_pose_tree* lib/libholoscan_data_loggers*
cd ..

# GDCM's wheel holds each library three times, where others have links.
cd _gdcm
rm -f XML/Part3.xml
for library in *.so; do
  for name in "$library".*; do ! cmp -s "$library" "$name" || ln -sf "$library" "$name"; done
done
cd ..

# highdicom's table of attributes is 22 MB of JSON, most of it spaces.
python3 -c 'import json, sys; content = json.load(open(sys.argv[1])); json.dump(content, open(sys.argv[1], "w"), separators=(",", ":"))' \
  highdicom/_standard/module_attribute_map.json

# Not in *.libs: libraries that auditwheel has changed break when stripped.
find . -type f -name '*.so*' ! -path '*.libs/*' -exec strip --strip-unneeded {} + 2> /dev/null || true
