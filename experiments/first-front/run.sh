#!/usr/bin/env bash
# The first front: 40 networks of the Once-for-All MobileNetV3 space, trained briefly on 12,000 images of CIFAR-10 and
# priced on a Raspberry Pi 4. Needs cifar10_small.npz (x_train, y_train, x_test, y_test) in the current folder.
set -euo pipefail
nas search --device raspberry-pi-4 --space mobilenet-v3 --dataset npz:cifar10_small.npz \
  --objectives accuracy,latency,energy --trials 40 --epochs 3 --data-share 0.4 --resolution-share 0.15 \
  --batch-size 64 --seed 0 --out runs/first-front
