#!/usr/bin/env bash
# The tables of README.md: ./run.sh nas_bench_macro.csv cifar10.npz
set -eu
export OMP_NUM_THREADS=1
common=(--table "$1" --space nas-bench-macro --dataset "npz:$2" --accuracy acc_seed0,acc_seed1,acc_seed2 --seed 0)
sums=depth+swap+trainability,depth+naswot+trainability,depth+swap,swap,naswot,trainability
nas bench estimators "${common[@]}" --networks 106 --best 30 --estimators $sums,synflow,jacobian-covariance --out macro
nas bench estimators "${common[@]}" --skip 106 --networks 63 --estimators $sums --out macro-fresh
nas bench estimators "${common[@]}" --networks 106 --estimators zico,expressivity,progressivity --out macro-more
