//! Each architecture learns its smallest task with fixed seeds; negative controls do not.
