"""A mail server with TLS and one user; a line of JSON on standard output for each mail.

Arguments: certificate, key, port, "implicit" or "starttls".
"""
import json
import ssl
import sys
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

chain, key, port, mode = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(chain, key)


class Handler:
    async def handle_DATA(self, server, session, envelope):
        tls = server.transport.get_extra_info("ssl_object") is not None
        text = envelope.original_content.decode("latin-1")
        print(json.dumps({"from": envelope.mail_from, "to": envelope.rcpt_tos, "bytes": text, "tls": tls}), flush=True)
        return "250 2.0.0 queued"


def authenticate(server, session, envelope, mechanism, data):
    right = (data.login, data.password) == (b"shop", b"canary-password")
    return AuthResult(success=right, handled=right)


options = {"authenticator": authenticate, "auth_required": True}
if mode == "implicit":
    # It asks for STARTTLS before a password, even inside of TLS.
    options |= {"ssl_context": context, "auth_require_tls": False}
else:
    options |= {"tls_context": context, "require_starttls": True}
Controller(Handler(), hostname="127.0.0.1", port=int(port), **options).start()
threading.Event().wait()
