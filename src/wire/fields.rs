//! Which members of a message are watched, and how much of each is kept.
//!
//! The members form a fixed tree, so one number is the position in it. No stack is
//! kept while a document is read, however deep the document is.

mod key_table;

use key_table::KeyTable;

use super::json_id::JsonId;

/// A watched member of a message, named by its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Field {
    /// The message itself.
    Message,
    JsonRpc,
    Id,
    Method,
    Params,
    /// `params.name`: the tool of `tools/call`, or the prompt of `prompts/get`.
    Name,
    Uri,
    TaskId,
    Cursor,
    /// `params.protocolVersion`: the revision that the client of an `initialize`
    /// offers.
    ProtocolVersion,
    /// `params.requestId`: the request that `notifications/cancelled` names.
    RequestId,
    /// `params.reason` of `notifications/cancelled`.
    Reason,
    Ref,
    RefName,
    RefUri,
    ClientInfo,
    ClientName,
    ClientVersion,
    ParamsMeta,
    MetaProtocolVersion,
    Traceparent,
    MetaClientInfo,
    MetaClientName,
    MetaClientVersion,
    /// `params.requestState`: the state that the server gave the client to send back.
    RequestState,
    /// `params.inputResponses`: the client's answers to the server's input requests.
    InputResponses,
    /// `params.status` of a notification: the status of a task.
    NotifiedTaskStatus,
    /// `params.result` of a notification: the result of a task.
    NotifiedResult,
    NotifiedIsError,
    /// `params.error` of a notification: why a task failed.
    NotifiedError,
    NotifiedErrorCode,
    NotifiedErrorMessage,
    Result,
    IsError,
    /// `result.content`: the output of a tool. It is read only on request.
    Content,
    /// An element of `result.content`.
    ContentItem,
    /// The `text` of the first element that has one.
    ContentText,
    ResultType,
    /// `result.protocolVersion`: the revision that an `initialize` negotiated.
    ResultProtocolVersion,
    NextCursor,
    /// `result.task`: the task that a request became (2025-11-25).
    Task,
    CreatedTaskId,
    CreatedTaskStatus,
    ServerInfo,
    ServerName,
    ServerVersion,
    ResultMeta,
    MetaServerInfo,
    MetaServerName,
    MetaServerVersion,
    /// `result.requestState`: the state that the client has to send back.
    ResultRequestState,
    /// `result.inputRequests`: the input that the server requests from the client.
    InputRequests,
    /// `result.taskId`: the task that a request became (2026-07-28), or the task that
    /// the request names.
    ResultTaskId,
    /// `result.status`: the status of that task.
    ResultTaskStatus,
    /// `result.result`: the result of the task.
    TaskResult,
    TaskIsError,
    /// `result.error`: why the task failed.
    TaskError,
    TaskErrorCode,
    TaskErrorMessage,
    Error,
    ErrorCode,
    ErrorMessage,
}

/// How much of a member's value is kept.
#[derive(Clone, Copy)]
pub(super) enum Capture {
    /// Its watched members.
    Object,
    /// The watched members of its elements that are objects.
    Array,
    /// Only the type: absent, null, a string, ...
    Shape,
    /// A string, up to this number of characters.
    Text(u16),
    /// Like [`Text`](Self::Text), for a text that may be a URI; its userinfo is
    /// removed.
    Uri(u16),
    /// Like [`Text`](Self::Text), for a text that may contain URIs; their userinfo is
    /// removed.
    Prose(u16),
    /// A string, cut to this number of characters, or a number as it was sent.
    TextOrNumber(u16),
    /// A string, up to this number of characters, and the digest of the whole string.
    HashedText(u16),
    /// A string or number to be compared, in full.
    JsonId,
    /// The digest of any value except null.
    Digest,
    /// The digest of the set of an object's keys.
    KeySet,
}

/// One watched member.
pub(super) struct Node {
    field: Field,
    /// Number of members on the path from the message to this one.
    depth: u8,
    key: &'static str,
    /// The first bytes of the key; see [`key_table::head`].
    head: u64,
    pub(super) capture: Capture,
    /// The member that contains it. The root has no parent, and nothing reads its
    /// value.
    pub(super) parent: Field,
    /// The first index after its subtree.
    end: u8,
}

const fn node(depth: u8, key: &'static str, field: Field, capture: Capture) -> Node {
    Node {
        field,
        depth,
        key,
        head: key_table::head(key.as_bytes()),
        capture,
        parent: Field::Message,
        end: 0,
    }
}

/// Number of watched members, including the message.
pub(super) const COUNT: usize = 62;

/// The tree in preorder: each member is directly followed by its descendants.
static TREE: [Node; COUNT] = link([
    node(0, "", Field::Message, Capture::Object),
    node(1, "jsonrpc", Field::JsonRpc, Capture::Shape),
    node(1, "id", Field::Id, Capture::JsonId),
    node(1, "method", Field::Method, Capture::Text(128)),
    node(1, "params", Field::Params, Capture::Object),
    node(2, "name", Field::Name, Capture::Uri(256)),
    node(2, "uri", Field::Uri, Capture::Uri(2048)),
    node(2, "taskId", Field::TaskId, Capture::HashedText(256)),
    node(2, "cursor", Field::Cursor, Capture::JsonId),
    node(
        2,
        "protocolVersion",
        Field::ProtocolVersion,
        Capture::Text(256),
    ),
    node(2, "requestId", Field::RequestId, Capture::JsonId),
    node(2, "reason", Field::Reason, Capture::Prose(256)),
    node(2, "ref", Field::Ref, Capture::Object),
    node(3, "name", Field::RefName, Capture::Uri(256)),
    node(3, "uri", Field::RefUri, Capture::Uri(2048)),
    node(2, "clientInfo", Field::ClientInfo, Capture::Object),
    node(3, "name", Field::ClientName, Capture::Text(256)),
    node(3, "version", Field::ClientVersion, Capture::Text(256)),
    node(2, "_meta", Field::ParamsMeta, Capture::Object),
    node(
        3,
        "io.modelcontextprotocol/protocolVersion",
        Field::MetaProtocolVersion,
        Capture::Text(256),
    ),
    node(3, "traceparent", Field::Traceparent, Capture::Text(256)),
    node(
        3,
        "io.modelcontextprotocol/clientInfo",
        Field::MetaClientInfo,
        Capture::Object,
    ),
    node(4, "name", Field::MetaClientName, Capture::Text(256)),
    node(4, "version", Field::MetaClientVersion, Capture::Text(256)),
    node(2, "requestState", Field::RequestState, Capture::Digest),
    node(2, "inputResponses", Field::InputResponses, Capture::KeySet),
    node(2, "status", Field::NotifiedTaskStatus, Capture::Text(64)),
    node(2, "result", Field::NotifiedResult, Capture::Object),
    node(3, "isError", Field::NotifiedIsError, Capture::Shape),
    node(2, "error", Field::NotifiedError, Capture::Object),
    node(
        3,
        "code",
        Field::NotifiedErrorCode,
        Capture::TextOrNumber(256),
    ),
    node(
        3,
        "message",
        Field::NotifiedErrorMessage,
        Capture::Prose(512),
    ),
    node(1, "result", Field::Result, Capture::Object),
    node(2, "isError", Field::IsError, Capture::Shape),
    node(2, "content", Field::Content, Capture::Array),
    // An element has no key, and no key is looked up in an array.
    node(3, "[]", Field::ContentItem, Capture::Object),
    node(4, "text", Field::ContentText, Capture::Prose(512)),
    node(2, "resultType", Field::ResultType, Capture::Text(256)),
    node(
        2,
        "protocolVersion",
        Field::ResultProtocolVersion,
        Capture::Text(256),
    ),
    node(2, "nextCursor", Field::NextCursor, Capture::JsonId),
    node(2, "task", Field::Task, Capture::Object),
    node(3, "taskId", Field::CreatedTaskId, Capture::HashedText(256)),
    node(3, "status", Field::CreatedTaskStatus, Capture::Text(64)),
    node(2, "serverInfo", Field::ServerInfo, Capture::Object),
    node(3, "name", Field::ServerName, Capture::Text(256)),
    node(3, "version", Field::ServerVersion, Capture::Text(256)),
    node(2, "_meta", Field::ResultMeta, Capture::Object),
    node(
        3,
        "io.modelcontextprotocol/serverInfo",
        Field::MetaServerInfo,
        Capture::Object,
    ),
    node(4, "name", Field::MetaServerName, Capture::Text(256)),
    node(4, "version", Field::MetaServerVersion, Capture::Text(256)),
    node(
        2,
        "requestState",
        Field::ResultRequestState,
        Capture::Digest,
    ),
    node(2, "inputRequests", Field::InputRequests, Capture::KeySet),
    node(2, "taskId", Field::ResultTaskId, Capture::HashedText(256)),
    node(2, "status", Field::ResultTaskStatus, Capture::Text(64)),
    node(2, "result", Field::TaskResult, Capture::Object),
    node(3, "isError", Field::TaskIsError, Capture::Shape),
    node(2, "error", Field::TaskError, Capture::Object),
    node(3, "code", Field::TaskErrorCode, Capture::TextOrNumber(256)),
    node(3, "message", Field::TaskErrorMessage, Capture::Prose(512)),
    node(1, "error", Field::Error, Capture::Object),
    node(2, "code", Field::ErrorCode, Capture::TextOrNumber(256)),
    node(2, "message", Field::ErrorMessage, Capture::Prose(512)),
]);

/// Length of the longest key, in bytes. A longer key is not watched.
pub(super) const LONGEST_KEY: usize = {
    let mut longest = 0;
    let mut i = 0;
    while i < COUNT {
        if TREE[i].key.len() > longest {
            longest = TREE[i].key.len();
        }
        i += 1;
    }
    longest
};

/// Length of a digest, in bytes.
const DIGEST: usize = 32;

/// The most text that is kept of a message, in bytes.
pub(super) const MOST_KEPT: usize = {
    let mut most = 0;
    let mut i = 0;
    while i < COUNT {
        most += match TREE[i].capture {
            Capture::Text(chars)
            | Capture::Uri(chars)
            | Capture::Prose(chars)
            | Capture::TextOrNumber(chars) => 4 * chars as usize,
            Capture::HashedText(chars) => 4 * chars as usize + DIGEST,
            Capture::JsonId => JsonId::INLINE,
            Capture::Digest | Capture::KeySet => DIGEST,
            Capture::Object | Capture::Array | Capture::Shape => 0,
        };
        i += 1;
    }
    most
};

/// Computes the parents and subtree ends from the depths.
const fn link(mut tree: [Node; COUNT]) -> [Node; COUNT] {
    let mut i = 0;
    while i < COUNT {
        assert!(
            tree[i].field as usize == i,
            "a field's number is its place in the tree"
        );
        let mut end = i + 1;
        while end < COUNT && tree[end].depth > tree[i].depth {
            if tree[end].depth == tree[i].depth + 1 {
                tree[end].parent = tree[i].field;
            }
            end += 1;
        }
        tree[i].end = end as u8;
        i += 1;
    }
    tree
}

impl Field {
    pub(super) fn node(self) -> &'static Node {
        &TREE[self as usize]
    }

    /// Returns the indices of this member and all its descendants.
    pub(super) fn subtree(self) -> std::ops::Range<usize> {
        self as usize..self.node().end as usize
    }

    /// Returns the watched member of this object whose key is the first `len` bytes of
    /// `text`.
    pub(super) fn member(self, text: &[u8], len: usize) -> Option<Field> {
        static TABLE: KeyTable = KeyTable::of(&TREE);
        TABLE.member(self, text, len)
    }
}
