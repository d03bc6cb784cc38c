def weights_of(keys, layers, num_heads, d_model):
    return None
