// torch.ops.gqa_native.decode: attention of one new token per sequence, on the CPU.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <atomic>
#include <cmath>

#include "decode.h"

namespace gqa {

constexpr int64_t kTasksPerThread = 4;         // a late thread then costs a quarter of its share
constexpr int64_t kMinPartBytes = 128 * 1024;  // of K and V in a task: less is not worth a merge
constexpr double kLog2E = 1.4426950408889634;

inline void check_decode(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
           const std::optional<at::Tensor>& lengths) {
  TORCH_CHECK_VALUE(q.dim() == 4 && k.dim() == 4 && k.sizes() == v.sizes(), "q has shape ",
                    q.sizes(), ", k ", k.sizes(), ", v ", v.sizes(),
                    ": pass q as (B, Hq, 1, D) and both k and v as (B, Hkv, S, D).");
  TORCH_CHECK_VALUE(q.size(2) == 1 && q.size(0) == k.size(0) && q.size(3) == k.size(3) &&
                        k.size(1) > 0 && q.size(1) % k.size(1) == 0 && q.size(3) % 8 == 0,
                    "q ", q.sizes(), " over k ", k.sizes(), ": batch_size and head_dim must agree, "
                    "T be 1, Hq a multiple of Hkv and head_dim one of 8.");
  TORCH_CHECK_VALUE(q.scalar_type() == k.scalar_type() && k.scalar_type() == v.scalar_type() &&
                        (q.scalar_type() == at::kFloat || q.scalar_type() == at::kBFloat16),
                    "q is ", q.scalar_type(), ", k ", k.scalar_type(), ", v ", v.scalar_type(),
                    ": give all three float32 or all three bfloat16.");
  TORCH_CHECK_VALUE(q.stride(3) == 1 && k.stride(3) == 1 && v.stride(3) == 1,
                    "the elements of a head must lie next to each other; the last strides are ",
                    q.stride(3), ", ", k.stride(3), " and ", v.stride(3), ".");
  if (!lengths) return;
  TORCH_CHECK_VALUE(lengths->dim() == 1 && lengths->size(0) == q.size(0) &&
                        lengths->scalar_type() == at::kLong && lengths->is_contiguous(),
                    "lengths has shape ", lengths->sizes(), " and is ", lengths->scalar_type(),
                    ": give one int64 for each of ", q.size(0), " sequences.");
  for (int64_t b = 0; b < q.size(0); ++b) {
    const int64_t length = lengths->const_data_ptr<int64_t>()[b];
    TORCH_CHECK_VALUE(length >= 0 && length <= k.size(2), "lengths[", b, "] is ", length,
                      ", but the cache has ", k.size(2), " keys.");
  }
}

// How the work is cut: every (sequence, KV head) into `parts` of `keys` keys.
struct Cut {
  int64_t parts, keys;
};

inline Cut cut(int64_t pairs, int64_t S, int64_t key_bytes, int block, int64_t num_splits) {
  const int64_t most = std::max<int64_t>(1, S * key_bytes / kMinPartBytes);
  const int64_t threads = at::get_num_threads();
  int64_t parts = num_splits > 0 ? num_splits
                                 : std::min(most, (kTasksPerThread * threads + pairs - 1) / pairs);
  if (num_splits <= 0 && threads == 1) parts = 1;
  int64_t keys = std::max<int64_t>(1, (S + parts - 1) / parts);
  keys = (keys + block - 1) / block * block;
  return {std::max<int64_t>(1, (S + keys - 1) / keys), keys};
}

template <class T>
class Decode {
 public:
  Decode(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const int64_t* lengths,
         int64_t num_splits, at::Tensor& out)
      : q_(q), k_(k), v_(v), lengths_(lengths), out_(static_cast<T*>(out.data_ptr())),
        Hkv_(k.size(1)), heads_(q.size(1) / Hkv_), dim_(q.size(3)), pairs_(k.size(0) * Hkv_),
        cut_(cut(pairs_, k.size(2), 2 * dim_ * sizeof(T), block_keys<T>(int(dim_), int(heads_)),
                 num_splits)),
        partials_(new float[pairs_ * cut_.parts * heads_ * (dim_ + 2)]),
        unfinished_(new std::atomic<int64_t>[pairs_]) {
    for (int64_t i = 0; i < pairs_; ++i) unfinished_[i] = cut_.parts;
  }

  // Threads take the next task when they are done with one: neighbours may slow any of them.
  void run() {
    const int64_t tasks = pairs_ * cut_.parts;
    const bool small = k_.size(2) * pairs_ * 2 * dim_ * int64_t(sizeof(T)) <= kMinPartBytes;
    const int64_t workers = small ? 1 : std::min<int64_t>(tasks, at::get_num_threads());
    std::atomic<int64_t> next{0};
    at::parallel_for(0, workers, 1, [&](int64_t, int64_t) {
      for (int64_t i; (i = next++) < tasks;) task(i / cut_.parts, i % cut_.parts);
    });
  }

 private:
  void task(int64_t pair, int64_t part) {
    const int64_t b = pair / Hkv_, h = pair % Hkv_, start = part * cut_.keys;
    const int64_t length = lengths_ ? lengths_[b] : k_.size(2);
    const int64_t keys = std::clamp<int64_t>(length - start, 0, cut_.keys);
    const int dim = int(dim_);
    with_lanes(dim, [&](auto lanes) {
      attend<lanes()>(scaled_queries<lanes()>(b, h).get(), int(heads_), dim, rows(k_, b, h, start),
                      rows(v_, b, h, start), keys, partial(pair, part));
      if (--unfinished_[pair] == 0) merge<lanes()>(pair);
    });
  }

  static Rows<T> rows(const at::Tensor& t, int64_t b, int64_t h, int64_t start) {
    const T* first = static_cast<const T*>(t.const_data_ptr());
    return {first + b * t.stride(0) + h * t.stride(1) + start * t.stride(2), t.stride(2)};
  }

  template <int W>
  std::unique_ptr<float[]> scaled_queries(int64_t b, int64_t h) const {
    std::unique_ptr<float[]> scaled(new float[heads_ * dim_]);
    const T* first = static_cast<const T*>(q_.const_data_ptr()) + b * q_.stride(0);
    const float scale = float(kLog2E / std::sqrt(double(dim_)));
    for (int64_t r = 0; r < heads_; ++r)
      for (int64_t d = 0; d < dim_; ++d)
        scaled[r * dim_ + place<W>(d, first)] =
            to_float(first[(h * heads_ + r) * q_.stride(1) + d]) * scale;
    return scaled;
  }

  Partial partial(int64_t pair, int64_t part) const {
    float* out = partials_.get() + (pair * cut_.parts + part) * heads_ * (dim_ + 2);
    return {out, out + heads_ * dim_, out + heads_ * (dim_ + 1)};
  }

  // The parts' outputs, weighted by their shares of the sum over all keys; 0 where there are none.
  template <int W>
  void merge(int64_t pair) const {
    for (int64_t r = 0; r < heads_; ++r) {
      float top = kNothing, total = 0;
      for (int64_t s = 0; s < cut_.parts; ++s) top = std::max(top, partial(pair, s).top[r]);
      float* const sum = partial(pair, 0).out + r * dim_;
      for (int64_t s = 0; s < cut_.parts; ++s) {
        const Partial part = partial(pair, s);
        const float weight = part.total[r] == 0 ? 0 : std::exp2(part.top[r] - top);
        total += weight * part.total[r];
        for (int64_t d = 0; d < dim_; ++d)
          sum[d] = (s ? sum[d] : 0) + weight * part.out[r * dim_ + d];
      }
      const float divisor = total == 0 ? 1 : total;
      T* const to = out_ + (pair * heads_ + r) * dim_;
      for (int64_t d = 0; d < dim_; ++d) store(sum[place<W>(d, to)] / divisor, to + d);
    }
  }

  const at::Tensor &q_, &k_, &v_;
  const int64_t* lengths_;
  T* out_;
  int64_t Hkv_, heads_, dim_, pairs_;
  Cut cut_;
  std::unique_ptr<float[]> partials_;
  std::unique_ptr<std::atomic<int64_t>[]> unfinished_;
};

inline at::Tensor decode(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                  const std::optional<at::Tensor>& lengths, int64_t num_splits) {
  check_decode(q, k, v, lengths);
  at::Tensor out = at::empty(q.sizes(), q.options());
  if (out.numel() == 0) return out;
  const int64_t* per_sequence = lengths ? lengths->const_data_ptr<int64_t>() : nullptr;
  if (q.scalar_type() == at::kFloat)
    Decode<float>(q, k, v, per_sequence, num_splits, out).run();
  else
    Decode<BFloat16>(q, k, v, per_sequence, num_splits, out).run();
  return out;
}

}  // namespace gqa
