// torch.ops.gqa_native.decode_layer: one new token of each sequence through a whole layer. Nothing
// here is computed that the other operators do not compute: what it saves is the way through Python
// between them, a third of a step of a small model.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/add.h>
#include <ATen/ops/empty.h>

#include "decode_op.h"
#include "layer_op.h"
#include "linear_op.h"
#include "vectors.h"

namespace gqa {

// silu(gate) * up; 2^-|x| does not overflow, whatever the sign.
template <int W>
inline Floats<W> gated(Floats<W> gate, Floats<W> up) {
  const Floats<W> away = gate > 0 ? -gate : gate;
  const Floats<W> small = power_of_two<W>(away * float(kLog2E));
  return gate * up * (gate > 0 ? fill<W>(1.0f) : small) / (1.0f + small);
}

template <class T>
void gate_rows(const at::Tensor& x, at::Tensor& out) {
  const int64_t dim = out.size(-1);
  const T* const from = static_cast<const T*>(x.const_data_ptr());
  T* const to = static_cast<T*>(out.data_ptr());
  with_lanes(dim, [&](auto lanes) {
    constexpr int W = lanes();
    for_rows(out.numel() / dim, dim, [&](int64_t i) {
      for (int64_t d = 0; d < dim; d += 2 * W) {
        const Pair<W> gate = load_pair<W>(from + 2 * i * dim + d);
        const Pair<W> up = load_pair<W>(from + (2 * i + 1) * dim + d);
        store_pair<W>({gated<W>(gate.first, up.first), gated<W>(gate.second, up.second)},
                      to + i * dim + d);
      }
    });
  });
}

// silu of the first half of the last dimension times the second half.
inline at::Tensor swiglu(const at::Tensor& x) {
  auto sizes = x.sizes().vec();
  sizes.back() /= 2;
  at::Tensor out = at::empty(sizes, x.options());
  if (x.scalar_type() == at::kFloat)
    gate_rows<float>(x, out);
  else
    gate_rows<BFloat16>(x, out);
  return out;
}

// Writes each row's new token, (B, H, 1, D), behind the `lengths` tokens that it has in memory.
inline void append(const at::Tensor& memory, const at::Tensor& token, const int64_t* lengths) {
  const int64_t nbytes = memory.size(3) * memory.element_size();
  for (int64_t b = 0; b < token.size(0); ++b)
    for (int64_t h = 0; h < token.size(1); ++h)
      std::memcpy(static_cast<char*>(memory.data_ptr()) +
                      (b * memory.stride(0) + h * memory.stride(1) + lengths[b] * memory.stride(2)) *
                          memory.element_size(),
                  static_cast<const char*>(token.const_data_ptr()) +
                      (b * token.stride(0) + h * token.stride(1)) * token.element_size(),
                  nbytes);
}

inline void check_layer(const at::Tensor& x, const at::Tensor& k_memory, const at::Tensor& v_memory,
                        const at::Tensor& lengths, const at::Tensor& qkv,
                        const at::Tensor& gate_up) {
  const int64_t B = x.size(0), D = k_memory.size(-1);
  TORCH_CHECK_VALUE(x.dim() == 3 && x.size(1) == 1 && k_memory.dim() == 4 &&
                        k_memory.size(0) == B && k_memory.sizes() == v_memory.sizes() &&
                        k_memory.stride(3) == 1 && v_memory.stride(3) == 1 && D % 8 == 0 &&
                        qkv.size(0) % D == 0 && qkv.size(0) / D > 2 * k_memory.size(1) &&
                        gate_up.size(0) % 16 == 0,
                    "x ", x.sizes(), " over ", k_memory.sizes(), " and ", v_memory.sizes(),
                    ": pass x as (B, 1, d_model), both memories as (B, Hkv, S, D) and the rows of "
                    "queries, keys and values in one weight, ", qkv.sizes(), ".");
  TORCH_CHECK_VALUE(plain(x, x) && plain(k_memory, x) && plain(v_memory, x) && plain(qkv, x) &&
                        plain(gate_up, x),
                    "all must be float32, or all bfloat16, on the CPU and without gradients.");
  TORCH_CHECK_VALUE(lengths.dim() == 1 && lengths.size(0) == B && lengths.is_contiguous() &&
                        lengths.scalar_type() == at::kLong,
                    "lengths must be one int64 for each of ", B, " sequences.");
  for (int64_t b = 0; b < B; ++b) {
    const int64_t length = lengths.const_data_ptr<int64_t>()[b];
    TORCH_CHECK_VALUE(length > 0 && length <= k_memory.size(2), "lengths[", b, "] is ", length,
                      ", and memory has room for ", k_memory.size(2), " tokens.");
  }
}

// x after a layer, (B, 1, d_model). The rows of k_memory and v_memory, (B, Hkv, S, D), are `lengths`
// tokens long with the new one, whose place is written here. Without cos and sin nothing is turned.
inline at::Tensor decode_layer(
    const at::Tensor& x, const at::Tensor& k_memory, const at::Tensor& v_memory,
    const at::Tensor& lengths, const std::optional<at::Tensor>& cos,
    const std::optional<at::Tensor>& sin, const at::Tensor& attention_norm, const at::Tensor& qkv,
    const std::optional<at::Tensor>& qkv_bias, const std::optional<at::Tensor>& q_norm,
    const std::optional<at::Tensor>& k_norm, const at::Tensor& out_weight,
    const std::optional<at::Tensor>& out_bias, const at::Tensor& mlp_norm,
    const at::Tensor& gate_up, const at::Tensor& down, double eps) {
  check_layer(x, k_memory, v_memory, lengths, qkv, gate_up);
  const int64_t B = x.size(0), Hkv = k_memory.size(1), D = k_memory.size(3);
  const int64_t Hq = qkv.size(0) / D - 2 * Hkv;
  const at::Tensor heads = gqa::linear(gqa::rms_norm(x, attention_norm, eps), qkv, qkv_bias)
                               .view({B, 1, Hq + 2 * Hkv, D})
                               .transpose(1, 2);  // (B, Hq + 2 Hkv, 1, D)
  at::Tensor q = heads.narrow(1, 0, Hq), k = heads.narrow(1, Hq, Hkv);
  if (q_norm) q = gqa::rms_norm(q, *q_norm, eps);
  if (k_norm) k = gqa::rms_norm(k, *k_norm, eps);
  if (cos) q = turn(q, *cos, *sin), k = turn(k, *cos, *sin);
  std::vector<int64_t> before(lengths.const_data_ptr<int64_t>(),
                              lengths.const_data_ptr<int64_t>() + B);
  for (int64_t& length : before) --length;
  append(k_memory, k, before.data());
  append(v_memory, heads.narrow(1, Hq + Hkv, Hkv), before.data());
  const int64_t longest = 1 + *std::max_element(before.begin(), before.end());
  const at::Tensor out = decode(q, k_memory.narrow(2, 0, longest), v_memory.narrow(2, 0, longest),
                                lengths, 0);  // (B, Hq, 1, D)
  const at::Tensor y =
      at::add(x, gqa::linear(out.view({B, 1, Hq * D}), out_weight, out_bias));
  const at::Tensor both = gqa::linear(gqa::rms_norm(y, mlp_norm, eps), gate_up, std::nullopt);
  return at::add(y, gqa::linear(swiglu(both), down, std::nullopt));
}

}  // namespace gqa
