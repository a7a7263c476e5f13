# Sourced by the scripts here: `kernel_python` is a Python that has requirements.txt, in kernel/.venv unless KERNEL_VENV says
# where else. Whatever is missing is installed by its pinned version, and said so.
KERNEL_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
KERNEL_VENV=${KERNEL_VENV:-$KERNEL_DIR/.venv}
if ! cmp -s "$KERNEL_DIR/requirements.txt" "$KERNEL_VENV/requirements.txt"; then
    echo "installing PyPI packages of kernel/requirements.txt into $KERNEL_VENV" >&2
    python3 -m venv "$KERNEL_VENV"
    "$KERNEL_VENV/bin/pip" install --quiet --disable-pip-version-check -r "$KERNEL_DIR/requirements.txt"
    cp "$KERNEL_DIR/requirements.txt" "$KERNEL_VENV/requirements.txt"
fi
kernel_python=$KERNEL_VENV/bin/python
