// torch.ops.gqa_native: the operators, in one file because each takes as long to compile as all.
#include <torch/library.h>

#include "decode_op.h"
#include "layer_op.h"
#include "linear_op.h"
#include "step_op.h"

TORCH_LIBRARY(gqa_native, m) {
  m.def("decode(Tensor q, Tensor k, Tensor v, Tensor? lengths=None, int num_splits=0) -> Tensor");
  m.def(
      "decode_layer(Tensor x, Tensor(a!) k_memory, Tensor(b!) v_memory, Tensor lengths, Tensor? cos, "
      "Tensor? sin, Tensor attention_norm, Tensor qkv, Tensor? qkv_bias, Tensor? q_norm, "
      "Tensor? k_norm, Tensor out_weight, Tensor? out_bias, Tensor mlp_norm, Tensor gate_up, "
      "Tensor down, float eps) -> Tensor");
  m.def("linear(Tensor x, Tensor weight, Tensor? bias=None) -> Tensor");
  m.def("rms_norm(Tensor x, Tensor weight, float eps) -> Tensor");
  m.def("turn(Tensor x, Tensor cos, Tensor sin) -> Tensor");
}

TORCH_LIBRARY_IMPL(gqa_native, CPU, m) {
  m.impl("decode", &gqa::decode);
  m.impl("decode_layer", &gqa::decode_layer);
  m.impl("turn", &gqa::turn);
}

// These run torch's own where they are not for the tensors that they get.
TORCH_LIBRARY_IMPL(gqa_native, CompositeImplicitAutograd, m) {
  m.impl("linear", &gqa::linear);
  m.impl("rms_norm", &gqa::rms_norm);
}
