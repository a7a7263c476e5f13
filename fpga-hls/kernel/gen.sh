#!/usr/bin/env bash
# Makes kernel/gen/k*/ from kernel/dslx, with the pinned XLS.
#
#   gen.sh          writes the files
#   gen.sh check    fails when what is committed differs
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/tools.sh"
case ${1:-write} in
    write) exec "$kernel_python" "$KERNEL_DIR/gen.py" ;;
    check) exec "$kernel_python" "$KERNEL_DIR/gen.py" --check ;;
    *) echo "gen.sh: unknown argument '$1'; allowed: none, or check" >&2; exit 2 ;;
esac
