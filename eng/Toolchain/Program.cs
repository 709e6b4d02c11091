using System.CommandLine;
using Hybrid.Toolchain;

var setup = new Command("setup", "Find or bring everything that a build needs. `dotnet run --project AppHost` and `dotnet test` do this on their own.");
setup.SetAction((_, token) => RunAsync(async () =>
{
    var tools = await Setup.RunAsync(new Progress(), token);
    Console.WriteLine($"Go {tools.Go.Version} from {tools.Go.Origin}");
    Console.WriteLine($"Rust {tools.Rust.Version}, crates from {tools.Rust.CratesFrom}");
    Console.WriteLine($"PostgreSQL: {tools.Postgres?.Folder ?? "none. " + Install.Postgres}");
    var kafka = tools.Kafka.Distribution;
    Console.WriteLine($"Kafka: {(kafka is null ? $"in-memory stand-in. {tools.Kafka.WhyNot}" : $"{kafka.Libraries} ({kafka.Origin})")}");
}));

var doctor = new Command("doctor", "Say what was found, what is used, and what to do about what is missing. Changes nothing.");
doctor.SetAction(async (_, token) => await Doctor.RunAsync(token) ? 0 : 1);

var build = new Command("build", "Set up, then build the programs of both planes.");
build.SetAction((_, token) => RunAsync(async () =>
{
    var progress = new Progress();
    await Setup.RunAsync(progress, token);
    await Programs.BuildGoAsync(Workspace.GoModule, "./cmd/control-plane", progress, token);
    await Programs.BuildRustAsync(progress, token);
}));

var generate = new Command("generate", "Make the committed Go code of the contracts anew.");
generate.SetAction((_, token) => RunAsync(async () =>
{
    var progress = new Progress();
    var go = await Setup.GoAsync(progress, token);
    await progress.StepAsync("Go code of the contracts", async report =>
    {
        // protoc's plugins come from where the libraries come from; without a folder of them the script builds them.
        var plugins = go.UsesDebianPackages
            ? (await SetupLock.HoldAsync(() => DebianPackages.BringAsync("go-generators", report, token), progress, token)).Tree + "/usr/bin"
            : "";
        var path = Path.GetDirectoryName(go.Program) + Path.PathSeparator + Environment.GetEnvironmentVariable("PATH");
        var result = await Subprocess.RunAsync(
            Path.Combine(Workspace.Root, "eng/generate.sh"), [Workspace.GrpcToolsPackage, plugins],
            environment: [.. go.Environment, new("PATH", path)], onLine: report, cancellationToken: token);
        result.ThrowIfFailed("eng/generate.sh failed:", lines: 40);
        return true;
    });
}));

var env = new Command("env", "Print shell exports for calling go and cargo by hand: eval \"$(dotnet run --project eng/Toolchain -- env)\"");
env.SetAction((_, token) => RunAsync(async () =>
{
    var (go, rust) = (await Setup.GoAsync(Progress.Silent, token), await Setup.RustAsync(Progress.Silent, token));
    Console.WriteLine($"export PATH='{Path.GetDirectoryName(go.Program)}':\"$PATH\"");
    foreach (var (name, value) in go.Environment.Concat(rust.Environment))
        Console.WriteLine(value is null ? $"unset {name}" : $"export {name}='{value}'");
    Console.WriteLine($"export HYBRID_RUST_WORKSPACE='{rust.WorkspaceFolder}'");
}));

const string description = "The set-up of Hybrid: tools, libraries and servers, from this machine or into a private folder.";
return await new RootCommand(description) { setup, doctor, build, generate, env }.Parse(args).InvokeAsync();

static async Task<int> RunAsync(Func<Task> action)
{
    try
    {
        await action();
        return 0;
    }
    catch (Exception e) when (e is SetupException or IOException or UnauthorizedAccessException)
    {
        await Console.Error.WriteLineAsync(e.Message);
        return 1;
    }
}
