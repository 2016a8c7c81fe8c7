"""The optional HTTP server: `python -m online serve`. Programs ask it for pages and lists, people look at members in a browser.

    server     binds the port, runs the processes, stops them in order
    app        routes, limits and faults put together: one ASGI application
    asking     the one place that calls the request library
    endpoints  what programs ask, in JSON
    people     what people look at, in HTML

Needs the extra `serve`. Nothing here is loaded by `import online`.
"""
