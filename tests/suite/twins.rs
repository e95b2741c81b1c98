//! Every kernel, the fast version against the plain one, on odd sizes.
