//! Every kernel and every table entry against finite differences in f64.
