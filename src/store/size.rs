use crate::event::StoreEvent;

/// About how much memory an event holds, in bytes: itself and its texts.
///
/// A text that several events share is counted for each: a bound that is kept
/// a little early is still kept.
pub(super) fn size(event: &StoreEvent) -> usize {
    fn len<T: AsRef<str>>(text: &Option<T>) -> usize {
        text.as_ref().map_or(0, |text| text.as_ref().len())
    }
    let texts = match event {
        StoreEvent::Request(event) => {
            let method = match &event.method {
                std::borrow::Cow::Borrowed(_) => 0,
                std::borrow::Cow::Owned(method) => method.capacity(),
            };
            method
                + event.proxy.len()
                + len(&event.session_id)
                + len(&event.tool)
                + len(&event.target)
                + len(&event.error_code)
                + len(&event.error_msg)
                + len(&event.protocol_version)
                + len(&event.principal)
        }
        StoreEvent::Session(event) => {
            event.session_id.len()
                + event.proxy.len()
                + len(&event.client_name)
                + len(&event.client_version)
                + len(&event.client_platform)
                + len(&event.protocol_version)
                + len(&event.server_name)
                + len(&event.server_version)
        }
        StoreEvent::SessionClosed { session_id, .. } => session_id.len(),
        StoreEvent::SchemaVersion(event) => {
            event.proxy.len()
                + event.upstream_url.len()
                + event.method.len()
                + event.payload.len()
                + event.content_hash.len()
        }
        StoreEvent::SchemaStale {
            proxy,
            upstream_url,
            method,
            ..
        } => proxy.len() + upstream_url.len() + method.len(),
    };
    size_of::<StoreEvent>() + texts
}
