"""What stands between an agent and AWS: a server that ends TLS, or a proxy for CONNECT.

tls_proxy.py tls CERTIFICATE KEY PORT   ends TLS, and passes on to that port of 127.0.0.1
tls_proxy.py connect                    opens the tunnels that it is asked for
tls_proxy.py refuse                     wants a password for every tunnel

Its first line on stdout is its own port on 127.0.0.1. Proxies write a line for each request, before they answer it:
the request line, and the user and password that came along. It ends when its stdin does.
"""

import asyncio
import base64
import os
import ssl
import sys
import threading


async def pump(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def join(reader, writer, host, port):
    try:
        far_reader, far_writer = await asyncio.open_connection(host, port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))


async def tunnel(reader, writer, refuse):
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (OSError, asyncio.IncompleteReadError):
        writer.close()
        return
    request, *fields = head.decode("latin-1").split("\r\n")
    password = "-"
    for field in fields:
        name, _, value = field.partition(":")
        if name.lower() == "proxy-authorization":
            password = base64.b64decode(value.split()[1]).decode()
    print(request, password, flush=True)
    method, target, _ = request.split(" ")
    if method != "CONNECT" or refuse:
        status = "407 Proxy Authentication Required" if refuse else "405 Method Not Allowed"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        writer.close()
        return
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    host, _, port = target.rpartition(":")
    await join(reader, writer, host, int(port))


async def main(mode, *arguments):
    context = None
    if mode == "tls":
        certificate, key, port = arguments
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)

    async def serve(reader, writer):
        if context:
            await join(reader, writer, "127.0.0.1", int(port))
        else:
            await tunnel(reader, writer, mode == "refuse")

    # A client that does not trust the certificate goes away, and that is no news.
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def end_with_stdin():
    sys.stdin.buffer.read()
    os._exit(0)


threading.Thread(target=end_with_stdin, daemon=True).start()
asyncio.run(main(*sys.argv[1:]))
