import json


class Counted:
    """Logs the method of each request before the application has it."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self.app(scope, receive, send)
        body = bytearray()

        async def counted():
            message = await receive()
            if message["type"] == "http.request":
                body.extend(message.get("body", b""))
                if not message.get("more_body"):
                    count(json.loads(body))
            return message

        await self.app(scope, counted, send)


def count(body):
    for message in body if isinstance(body, list) else [body]:
        if message.get("jsonrpc") and message.get("method") and message.get("id") is not None:
            print(f"request {message['method']}", flush=True)
