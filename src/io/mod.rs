//! What one can save: weights in the format that PyTorch users already have.
//!
//! Floor 7. A model is saved as the `torch.nn.Module` that a reader would write, with members `rnn` and `head`; the file is safetensors,
//! f32, with PyTorch's names and layouts.

use crate::error::{Error, Result};
use crate::nn::Parameter;
use crate::options::{Value, join};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

/// A safetensors file of flat values under the parameters' names.
pub fn save(parameters: &[Parameter], values: &[f32]) -> Vec<u8> {
    let views = parameters.iter().map(|parameter| {
        let values = &values[parameter.offset..][..parameter.len()];
        let view = TensorView::new(Dtype::F32, parameter.shape.clone(), bytemuck::cast_slice(values));
        (parameter.name.clone(), view.expect("as many bytes as the shape has elements"))
    });
    safetensors::serialize(views, None).expect("names and sizes are sound")
}

/// Reads a safetensors file into flat values.
///
/// # Errors
/// [`Error::Invalid`] when the bytes are no safetensors, a parameter is missing, unknown, of another shape or type, or not
/// finite.
pub fn load(parameters: &[Parameter], bytes: &[u8]) -> Result<Vec<f32>> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| Error::invalid("weights", "a safetensors file", format!("{} bytes ({error})", bytes.len())))?;
    let unknown = |name: &&str| !parameters.iter().any(|p| p.name == **name);
    if let Some(name) = file.names().into_iter().filter(unknown).min() {
        let names: Vec<_> = parameters.iter().map(|p| p.name.as_str()).collect();
        let tensor = file.tensor(name).map_or("a tensor".to_owned(), |view| described(&view));
        return Err(Error::invalid(join("weights", name), format!("one of the tensors {}", names.join(", ")), tensor));
    }
    let mut values = Vec::new();
    for parameter in parameters {
        let field = || format!("weights.{}", parameter.name);
        let expected = || format!("F32 of shape {:?}", parameter.shape);
        let view = file.tensor(&parameter.name).map_err(|_| Error::invalid(field(), expected(), "nothing"))?;
        if view.dtype() != Dtype::F32 || view.shape() != parameter.shape {
            return Err(Error::invalid(field(), expected(), described(&view)));
        }
        for bytes in view.data().chunks_exact(4) {
            let value = f32::from_le_bytes(bytes.try_into().expect("four bytes"));
            if !value.is_finite() {
                return Err(Error::invalid(field(), "finite numbers", Value::Number(f64::from(value))));
            }
            values.push(value);
        }
    }
    Ok(values)
}

fn described(view: &TensorView) -> String {
    format!("{:?} of shape {:?}", view.dtype(), view.shape())
}
