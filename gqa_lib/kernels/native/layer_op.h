// torch.ops.gqa_native.rms_norm and .turn: what a layer does to its tokens besides products, each in
// one pass over them.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/rms_norm.h>

#include <algorithm>
#include <cmath>

#include "plain.h"
#include "vectors.h"

namespace gqa {

constexpr int64_t kGrain = 32 * 1024;  // elements that are worth another thread

template <class F>
void for_rows(int64_t rows, int64_t dim, F run) {
  at::parallel_for(0, rows, std::max<int64_t>(1, kGrain / dim), [&](int64_t first, int64_t end) {
    for (int64_t i = first; i < end; ++i) run(i);
  });
}

template <int W, class T>
void norm_row(const T* x, const T* weight, int64_t dim, float eps, T* out) {
  Floats<W> squares = {};
  for (int64_t d = 0; d < dim; d += 2 * W) {
    const Pair<W> pair = load_pair<W>(x + d);
    squares += pair.first * pair.first;
    squares += pair.second * pair.second;
  }
  float sum = 0;
  for (int i = 0; i < W; ++i) sum += squares[i];
  const float scale = 1 / std::sqrt(sum / dim + eps);
  for (int64_t d = 0; d < dim; d += 2 * W) {
    const Pair<W> pair = load_pair<W>(x + d), by = load_pair<W>(weight + d);
    store_pair<W>({pair.first * scale * by.first, pair.second * scale * by.second}, out + d);
  }
}

template <class T>
void norm(const at::Tensor& x, const at::Tensor& weight, double eps, at::Tensor& out) {
  const int64_t dim = weight.size(0);
  const T* const from = static_cast<const T*>(x.const_data_ptr());
  const T* const by = static_cast<const T*>(weight.const_data_ptr());
  T* const to = static_cast<T*>(out.data_ptr());
  with_lanes(dim, [&](auto lanes) {
    for_rows(x.numel() / dim, dim, [&](int64_t i) {
      norm_row<lanes()>(from + i * dim, by, dim, float(eps), to + i * dim);
    });
  });
}

// torch's rms_norm over the last dimension, in one pass where it may be.
inline at::Tensor rms_norm(const at::Tensor& tokens, const at::Tensor& weight, double eps) {
  const bool fits = weight.dim() == 1 && weight.size(0) % 8 == 0 && weight.size(0) > 0 &&
                    tokens.dim() > 0 && tokens.size(-1) == weight.size(0) &&
                    weight.is_contiguous() && plain(tokens, tokens) && plain(weight, tokens);
  if (!fits) return at::rms_norm(tokens, weight.sizes(), weight, eps);
  const at::Tensor x = tokens.contiguous();
  at::Tensor out = at::empty(x.sizes(), x.options());
  if (out.numel() == 0) return out;
  if (x.scalar_type() == at::kFloat)
    norm<float>(x, weight, eps, out);
  else
    norm<BFloat16>(x, weight, eps, out);
  return out;
}

template <class T>
void turn_row(const T* __restrict x, const float* __restrict cos, const float* __restrict sin,
              int64_t pairs, int64_t dim, T* __restrict out) {
  for (int64_t i = 0; i < pairs; ++i) {
    const float a = to_float(x[i]), b = to_float(x[pairs + i]);
    store(a * cos[i] - b * sin[i], out + i);
    store(b * cos[i] + a * sin[i], out + pairs + i);
  }
  for (int64_t i = 2 * pairs; i < dim; ++i) out[i] = x[i];
}

template <class T>
void turn_all(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, at::Tensor& out) {
  const int64_t H = x.size(1), length = x.size(2), dim = x.size(3), pairs = cos.size(-1);
  const int64_t per_row = cos.dim() == 3 ? length * pairs : 0;  // where rows stand elsewhere
  const T* const from = static_cast<const T*>(x.const_data_ptr());
  T* const to = static_cast<T*>(out.data_ptr());
  for_rows(x.size(0) * H * length, dim, [&](int64_t i) {
    const int64_t b = i / (H * length), h = i / length % H, t = i % length;
    const int64_t at = b * per_row + t * pairs;
    turn_row(from + b * x.stride(0) + h * x.stride(1) + t * x.stride(2),
             cos.const_data_ptr<float>() + at, sin.const_data_ptr<float>() + at, pairs, dim,
             to + i * dim);
  });
}

inline at::Tensor turn(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
  TORCH_CHECK_VALUE(x.dim() == 4 && x.stride(3) == 1 &&
                        (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16),
                    "x ", x.sizes(), " is ", x.scalar_type(), ": pass (B, H, T, D), float32 or "
                    "bfloat16, the elements of a head next to each other.");
  TORCH_CHECK_VALUE((cos.dim() == 2 || (cos.dim() == 3 && cos.size(0) == x.size(0))) &&
                        cos.size(-2) == x.size(2) && 2 * cos.size(-1) <= x.size(3) &&
                        cos.sizes() == sin.sizes() && cos.is_contiguous() && sin.is_contiguous() &&
                        cos.scalar_type() == at::kFloat && sin.scalar_type() == at::kFloat,
                    "cos ", cos.sizes(), " and sin ", sin.sizes(), " for x ", x.sizes(),
                    ": pass both as (T, pairs) or (B, T, pairs), float32 and contiguous.");
  at::Tensor out = at::empty(x.sizes(), x.options());
  if (out.numel() == 0) return out;
  if (x.scalar_type() == at::kFloat)
    turn_all<float>(x, cos, sin, out);
  else
    turn_all<BFloat16>(x, cos, sin, out);
  return out;
}

}  // namespace gqa
