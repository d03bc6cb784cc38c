// Products of bfloat16 weights and up to 16 tokens by Intel's matrix instructions (AMX): 16 rows of
// weights, as they lie in memory, times all tokens at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "vectors.h"

#if defined(__AMX_BF16__) && defined(__linux__)
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#define GQA_AMX 1
#endif

namespace gqa {

constexpr int kTileRows = 16, kTileDepth = 32;  // rows of a tile, and elements of one of its rows
constexpr int kTileGroup = 4 * kTileRows;       // rows of weights that are multiplied together

// Tokens (tokens, dim) as tiles take them: pair p of all tokens after pair p - 1 of all.
inline void pair_up(const BFloat16* x, int tokens, int64_t dim, uint32_t* to) {
  for (int64_t p = 0; p < dim / 2; ++p)
    for (int m = 0; m < tokens; ++m) std::memcpy(to++, x + m * dim + 2 * p, 4);
}

#ifdef GQA_AMX
// Whether the system lets this process use tiles, for which it must be asked.
inline bool tiles_allowed() {
  static const bool allowed = syscall(SYS_arch_prctl, 0x1023 /* ARCH_REQ_XCOMP_PERM */, 18) == 0;
  return allowed;
}

// A thread's tiles while it has them: 0 to 3 take sums, 4 some of the tokens, 5 some weights.
class Tiles {
 public:
  explicit Tiles(int tokens) : tokens_(tokens) {
    struct alignas(64) {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {};
      uint8_t rows[16] = {};
    } sizes;
    for (int i = 0; i < 6; ++i) sizes.rows[i] = kTileRows, sizes.row_bytes[i] = uint16_t(4 * tokens);
    sizes.row_bytes[5] = 2 * kTileDepth;
    _tile_loadconfig(&sizes);
  }
  ~Tiles() { _tile_release(); }

  // out[m * out_pitch + n] for kTileGroup rows n of weights; x as from pair_up.
  void multiply(const uint32_t* x, int64_t dim, const BFloat16* weights, BFloat16* out,
                int64_t out_pitch, const BFloat16* bias) const {
    constexpr int kAhead = 256;
    const int64_t down = kTileRows * dim;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t d = 0; d < dim; d += kTileDepth) {
      _tile_loadd(4, x + d / 2 * tokens_, 4 * tokens_);
      for (int r = 0; r < kTileGroup; ++r) prefetch(weights + r * dim + d + kAhead, 64);
      _tile_loadd(5, weights + d, 2 * dim);
      _tile_dpbf16ps(0, 5, 4);
      _tile_loadd(5, weights + down + d, 2 * dim);
      _tile_dpbf16ps(1, 5, 4);
      _tile_loadd(5, weights + 2 * down + d, 2 * dim);
      _tile_dpbf16ps(2, 5, 4);
      _tile_loadd(5, weights + 3 * down + d, 2 * dim);
      _tile_dpbf16ps(3, 5, 4);
    }
    float sums[kTileGroup * 16];
    const int64_t size = kTileRows * tokens_;
    _tile_stored(0, sums, 4 * tokens_);
    _tile_stored(1, sums + size, 4 * tokens_);
    _tile_stored(2, sums + 2 * size, 4 * tokens_);
    _tile_stored(3, sums + 3 * size, 4 * tokens_);
    for (int m = 0; m < tokens_; ++m)
      for (int n = 0; n < kTileGroup; ++n)
        store(sums[n * tokens_ + m] + (bias ? to_float(bias[n]) : 0.0f), out + m * out_pitch + n);
  }

 private:
  int tokens_;
};
#else
inline bool tiles_allowed() { return false; }

struct Tiles {
  explicit Tiles(int) {}
  void multiply(const uint32_t*, int64_t, const BFloat16*, BFloat16*, int64_t,
                const BFloat16*) const {}
};
#endif

}  // namespace gqa
