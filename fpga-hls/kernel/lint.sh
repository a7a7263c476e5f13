#!/usr/bin/env bash
# Verilator's lint of the kernel, for one book and for several. What is generated may leave bits unused; nothing else is waived.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
lint=(verilator --lint-only -Wall -Wno-UNUSEDSIGNAL -Wno-UNUSEDPARAM --top-module wirebook_kernel)
"${lint[@]}" $(cat rtl/kernel.f)
"${lint[@]}" -GTICKS=300 -GORDERS=100 -GBOOKS=3 $(cat rtl/kernel.f)
