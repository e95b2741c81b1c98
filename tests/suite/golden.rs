//! Values and gradients of PyTorch.
