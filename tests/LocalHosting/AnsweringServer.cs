using System.Collections.Concurrent;
using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;

namespace Hybrid.Tests.LocalHosting;

/// <summary>Answers every request with the status of the moment, and remembers the paths.</summary>
internal sealed class AnsweringServer(Func<HttpStatusCode> status) : IAsyncDisposable
{
    private readonly ConcurrentQueue<string> paths = new();
    private WebApplication? app;

    public IReadOnlyList<string> Paths => [.. paths];

    public async Task ListenOnAsync(int port)
    {
        var builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(k => k.Listen(IPAddress.Loopback, port));
        app = builder.Build();
        app.Run(context =>
        {
            paths.Enqueue(context.Request.Path);
            context.Response.StatusCode = (int)status();
            return Task.CompletedTask;
        });
        await app.StartAsync(TestContext.Current.CancellationToken);
    }

    public async ValueTask DisposeAsync()
    {
        if (app is not null)
            await app.DisposeAsync();
    }
}
