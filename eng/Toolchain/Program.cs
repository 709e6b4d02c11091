using System.CommandLine;
using Hybrid.Toolchain;

var setup = new Command("setup", "Find or bring everything that a build needs. `dotnet run --project AppHost` and `dotnet test` do this on their own.");
setup.SetAction((_, token) => GuardAsync(async () =>
{
    var tools = await Setup.RunAsync(new Progress(), token);
    Console.WriteLine($"Go {tools.Go.Version} ({tools.Go.Origin}), libraries from {tools.Go.LibrariesFrom}");
    Console.WriteLine($"Rust {tools.Rust.Version}, crates from {tools.Rust.CratesFrom}");
    Console.WriteLine($"PostgreSQL: {tools.Postgres?.Folder ?? "none"}");
    Console.WriteLine($"Kafka: {(tools.Kafka is { } kafka ? $"{kafka.Libraries} ({kafka.Origin})" : "in-memory stand-in; " + tools.WhyNoKafka)}");
}));

var doctor = new Command("doctor", "Say what was found, what is used, and what to do about what is missing. Changes nothing.");
doctor.SetAction(async (_, token) => await Doctor.RunAsync(Console.Out, token) ? 0 : 1);

var build = new Command("build", "Set up, then build the programs of both planes.");
build.SetAction((_, token) => GuardAsync(async () => await Programs.BuildAsync(await Setup.RunAsync(new Progress(), token), new Progress(), token)));

var generate = new Command("generate", "Make the committed Go code of the contracts anew.");
generate.SetAction((_, token) => GuardAsync(async () =>
    await CodeGeneration.RunAsync((await Setup.RunAsync(new Progress(), token)).Go, new Progress(), token)));

var env = new Command("env", "Print shell exports for calling go and cargo by hand: eval \"$(dotnet run --project eng/Toolchain -- env)\"");
env.SetAction((_, token) => GuardAsync(async () => ShellExports.Write(await Setup.RunAsync(Progress.Silent, token), Console.Out)));

return await new RootCommand("The set-up of Hybrid: tools, libraries and servers, from this machine or into a private folder.")
{
    setup, doctor, build, generate, env,
}.Parse(args).InvokeAsync();

static async Task<int> GuardAsync(Func<Task> action)
{
    try
    {
        await action();
        return 0;
    }
    catch (SetupException e)
    {
        await Console.Error.WriteLineAsync(e.Message);
        return 1;
    }
}
