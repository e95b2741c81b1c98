//! What one can save: weights in the format that PyTorch users already have.
//!
//! Floor 7. A model is saved as the `torch.nn.Module` that a reader would write; the file is safetensors, f32, with PyTorch's names and
//! layouts: eight bytes with the length of a header, the header in JSON (of each tensor its type, shape, and place behind the header), the
//! numbers. The crate of the format brings a reader of JSON along, a twentieth of the whole package; every browser has one already, so
//! the caller hands over its own.

use crate::error::{Error, Result};
use crate::nn::Parameter;
use crate::options::{Value, join};

/// Reads JSON; `None` when the text is none.
pub type Json = fn(&str) -> Option<Value>;

/// A safetensors file of flat values under the parameters' names.
pub fn save(parameters: &[Parameter], values: &[f32]) -> Vec<u8> {
    let mut at = 0;
    let tensors = parameters.iter().map(|parameter| {
        let (start, shape) = (at, &parameter.shape);
        at += 4 * parameter.len();
        format!(r#""{}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{start},{at}]}}"#, parameter.name)
    });
    let mut header = format!("{{{}}}", tensors.collect::<Vec<_>>().join(","));
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    for parameter in parameters {
        bytes.extend_from_slice(bytemuck::cast_slice(&values[parameter.offset..][..parameter.len()]));
    }
    bytes
}

/// A tensor of a file.
struct Stored<'a> {
    name: String,
    dtype: String,
    shape: Vec<usize>,
    data: &'a [u8],
}

impl Stored<'_> {
    fn described(&self) -> String {
        format!("{} of shape {:?}", self.dtype, self.shape)
    }
}

/// Types of the format, and their bytes.
const TYPES: &[(&str, usize)] = &[
    ("F64", 8),
    ("F32", 4),
    ("F16", 2),
    ("BF16", 2),
    ("I64", 8),
    ("I32", 4),
    ("I16", 2),
    ("I8", 1),
    ("U64", 8),
    ("U32", 4),
    ("U16", 2),
    ("U8", 1),
    ("BOOL", 1),
];

fn field<'a>(of: &'a Value, name: &str) -> Option<&'a Value> {
    let Value::Map(fields) = of else { return None };
    fields.iter().find(|(field, _)| field == name).map(|(_, value)| value)
}

fn sizes(of: Option<&Value>) -> Option<Vec<usize>> {
    let Some(Value::List(items)) = of else { return None };
    let size = |item: &Value| match item {
        Value::Number(n) if n.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(n) => Some(*n as usize),
        _ => None,
    };
    items.iter().map(size).collect()
}

/// Takes a file apart, or says what is wrong with it. Tensors lie side by side behind the header, without a gap.
fn stored(bytes: &[u8], json: Json) -> std::result::Result<Vec<Stored<'_>>, &'static str> {
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or("shorter than the length of its header")?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok().filter(|&length| length <= rest.len());
    let (header, data) = rest.split_at(length.ok_or("shorter than its header")?);
    let header = std::str::from_utf8(header).ok().and_then(json).ok_or("its header is no JSON")?;
    let Value::Map(tensors) = header else { return Err("its header is no object") };
    let mut found = Vec::new();
    let mut covered = 0;
    for (name, tensor) in tensors.into_iter().filter(|(name, _)| name != "__metadata__") {
        let Some(Value::Text(dtype)) = field(&tensor, "dtype") else { return Err("a tensor without a type") };
        let (_, width) = TYPES.iter().find(|(id, _)| id == dtype).ok_or("a tensor of an unknown type")?;
        let shape = sizes(field(&tensor, "shape")).ok_or("a tensor without a shape")?;
        let Some(&[start, end]) = sizes(field(&tensor, "data_offsets")).as_deref() else {
            return Err("a tensor without a place");
        };
        let size = shape.iter().try_fold(*width, |size, &extent| size.checked_mul(extent));
        if start > end || size != Some(end - start) {
            return Err("a tensor whose place does not fit its shape");
        }
        covered += end - start;
        let data = data.get(start..end).ok_or("shorter than its tensors")?;
        found.push(Stored { name, dtype: dtype.clone(), shape, data });
    }
    if covered == data.len() { Ok(found) } else { Err("its tensors leave a gap") }
}

/// Reads a safetensors file into flat values.
///
/// # Errors
/// [`Error::Invalid`] when the bytes are no safetensors, a parameter is missing, unknown, of another shape or type, or not
/// finite.
pub fn load(parameters: &[Parameter], bytes: &[u8], json: Json) -> Result<Vec<f32>> {
    let file = stored(bytes, json)
        .map_err(|why| Error::invalid("weights", "a safetensors file", format!("{} bytes ({why})", bytes.len())))?;
    let unknown = file.iter().filter(|tensor| !parameters.iter().any(|p| p.name == tensor.name));
    if let Some(tensor) = unknown.min_by(|a, b| a.name.cmp(&b.name)) {
        let names: Vec<_> = parameters.iter().map(|p| p.name.as_str()).collect();
        let expected = format!("one of the tensors {}", names.join(", "));
        return Err(Error::invalid(join("weights", &tensor.name), expected, tensor.described()));
    }
    let mut values = Vec::new();
    for parameter in parameters {
        let refused = |got: &str| {
            let expected = format!("F32 of shape {:?}", parameter.shape);
            Err(Error::invalid(join("weights", &parameter.name), expected, got))
        };
        let Some(tensor) = file.iter().find(|tensor| tensor.name == parameter.name) else { return refused("nothing") };
        if tensor.dtype != "F32" || tensor.shape != parameter.shape {
            return refused(&tensor.described());
        }
        for &bytes in tensor.data.as_chunks::<4>().0 {
            let value = f32::from_le_bytes(bytes);
            if !value.is_finite() {
                let got = Value::from(value);
                return Err(Error::invalid(join("weights", &parameter.name), "finite numbers", got));
            }
            values.push(value);
        }
    }
    Ok(values)
}
