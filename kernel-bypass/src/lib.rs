//! How bytes and cache lines move: rings, ports, cores. Knows no order.
