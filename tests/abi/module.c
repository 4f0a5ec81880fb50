/* SPDX-License-Identifier: MIT */
/* One shared object for each descriptor of abi.h: -DABI_DESCRIPTOR=ABI_GOOD and so on. */
#include "abi/abi.h"

extern __attribute__((visibility("default"))) const struct lw_module laneway_module;
const struct lw_module laneway_module = ABI_DESCRIPTOR;
