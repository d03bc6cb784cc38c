// When a tensor may be read as memory.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/impl/TorchDispatchModeTLS.h>

namespace gqa {

// Whether t is a float32 or bfloat16 tensor like `like` on the CPU, and nobody asks for a gradient,
// transforms the call (vmap, torch.compile) or watches which of torch's operators run.
inline bool plain(const at::Tensor& t, const at::Tensor& like) {
  const auto keys = t.key_set() - c10::autograd_dispatch_keyset - c10::autocast_dispatch_keyset -
                    c10::DispatchKeySet(c10::DispatchKey::ADInplaceOrView);
  return keys.highestPriorityTypeId() == c10::DispatchKey::CPU &&
         t.scalar_type() == like.scalar_type() &&
         (t.scalar_type() == at::kFloat || t.scalar_type() == at::kBFloat16) &&
         !(at::GradMode::is_enabled() && t.requires_grad()) &&
         !c10::impl::dispatch_mode_enabled();
}

}  // namespace gqa
