// An application of shell scripts, for tests that must start, signal and kill a whole host.
// The configuration says what to run: Scripts:{name} is a script, Waits:{name} what it waits for, Ports:{name} its port.
var builder = DistributedApplication.CreateBuilder(args);
if (builder.Configuration["Throw"] is { } message)
    throw new InvalidOperationException(message);

Dictionary<string, IResourceBuilder<ExecutableResource>> resources = [];
foreach (var script in builder.Configuration.GetSection("Scripts").GetChildren())
{
    var resource = builder.AddExecutable(script.Key, "sh", ".", "-c", script.Value!);
    if (builder.Configuration[$"Ports:{script.Key}"] is { } port)
        resource.WithHttpEndpoint(int.Parse(port, System.Globalization.CultureInfo.InvariantCulture), env: "HTTP_PORT");
    resources.Add(script.Key, resource);
}

foreach (var wait in builder.Configuration.GetSection("Waits").GetChildren())
    resources[wait.Key].WaitFor(resources[wait.Value!]);

using var app = builder.Build();
await app.RunAsync();
if (builder.Configuration["ThrowAtEnd"] is { } last)
    throw new InvalidOperationException(last);
return Environment.ExitCode;
