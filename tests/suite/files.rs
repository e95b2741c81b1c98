//! Files of weights, judged by the crate of their format.

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde_json::Value as Json;
use unroll::io;
use unroll::nn::Parameter;
use unroll::options::Value;
use wasm_bindgen_test::wasm_bindgen_test;

fn json(text: &str) -> Option<Value> {
    fn value(json: Json) -> Value {
        match json {
            Json::Null => Value::Null,
            Json::Bool(b) => Value::Bool(b),
            Json::Number(n) => Value::Number(n.as_f64().expect("a number")),
            Json::String(text) => Value::Text(text),
            Json::Array(items) => Value::List(items.into_iter().map(value).collect()),
            Json::Object(fields) => Value::Map(fields.into_iter().map(|(name, field)| (name, value(field))).collect()),
        }
    }
    serde_json::from_str(text).ok().map(value)
}

fn parameters() -> (Vec<Parameter>, Vec<f32>) {
    let mut offset = 0;
    let shapes: [(&str, &[usize]); 3] =
        [("rnn.weight_ih_l0", &[4, 3]), ("rnn.bias_ih_l0", &[4]), ("head.weight", &[2, 4])];
    let parameters: Vec<Parameter> = shapes
        .iter()
        .map(|(name, shape)| {
            let parameter = Parameter { name: (*name).to_owned(), shape: shape.to_vec(), offset };
            offset += parameter.len();
            parameter
        })
        .collect();
    (parameters, (0..offset).map(|n| n as f32 * 0.37 - 4.0).collect())
}

#[wasm_bindgen_test(unsupported = test)]
fn what_is_written_is_what_the_crate_reads() {
    let (parameters, values) = parameters();
    let bytes = io::save(&parameters, &values);
    let file = SafeTensors::deserialize(&bytes).expect("a file of the format");
    assert_eq!(file.len(), parameters.len());
    for parameter in &parameters {
        let tensor = file.tensor(&parameter.name).expect("every parameter");
        assert_eq!((tensor.dtype(), tensor.shape()), (Dtype::F32, &parameter.shape[..]));
        let expected: Vec<u8> =
            values[parameter.offset..][..parameter.len()].iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(tensor.data(), expected, "{}", parameter.name);
    }
    assert_eq!(io::load(&parameters, &bytes, json).expect("our own file"), values);
}

#[wasm_bindgen_test(unsupported = test)]
fn what_the_crate_writes_is_read() {
    let (parameters, values) = parameters();
    let bytes: Vec<Vec<u8>> = parameters
        .iter()
        .map(|of| values[of.offset..][..of.len()].iter().flat_map(|value| value.to_le_bytes()).collect())
        .collect();
    // In an order of its own, with a note.
    let views = parameters.iter().zip(&bytes).rev().map(|(parameter, bytes)| {
        (parameter.name.clone(), TensorView::new(Dtype::F32, parameter.shape.clone(), bytes).expect("sizes fit"))
    });
    let note = Some([("format".to_owned(), "pt".to_owned())].into());
    let file = safetensors::serialize(views, note).expect("a file");
    assert_eq!(io::load(&parameters, &file, json).expect("a file of the crate"), values);
}
