use crate::wire::JsonId;

/// The id that a client gave to a JSON-RPC request: a 64-bit integer or a text of at most 36
/// bytes. A client may use an id again, in another session or in the same one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RpcId(Value);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Value {
    Integer(i64),
    Text(Box<str>),
}

impl RpcId {
    /// Returns an id that is a number.
    pub const fn integer(id: i64) -> Self {
        Self(Value::Integer(id))
    }

    /// Returns an id that is a text, or `None` if it has more than 36 bytes.
    pub fn text(id: &str) -> Option<Self> {
        (id.len() <= JsonId::INLINE).then(|| Self(Value::Text(id.into())))
    }

    /// Returns the id of a message. `None` for a long text, a fraction, and a number
    /// beyond 64 bits.
    pub(crate) fn of(id: &JsonId) -> Option<Self> {
        match id.integer() {
            Some(id) => Some(Self::integer(id)),
            None => Self::text(id.text()?),
        }
    }

    /// Returns the id as JSON, as the file holds it.
    pub(crate) fn to_json(&self) -> serde_json::Value {
        match &self.0 {
            Value::Integer(id) => (*id).into(),
            Value::Text(id) => (**id).into(),
        }
    }

    /// Returns how many bytes it takes on the heap.
    pub(crate) fn heap(&self) -> usize {
        match &self.0 {
            Value::Integer(_) => 0,
            Value::Text(id) => id.len(),
        }
    }
}
