using Hybrid.Toolchain;

namespace Hybrid.Lab.Running;

/// <summary>Programs that are built together. Those that stores need are AppHost's to build.</summary>
[Flags]
internal enum LabPrograms
{
    None = 0,
    Items = 1,
    Pricing = 2,
    Metering = 4,
    Interop = 8,
}

/// <summary>The twins, and the product's programs that they are compared with.</summary>
internal static class LabTwins
{
    public const string RustItemsPackage = "items-twin";
    public const string RustMeteringGroup = "metering";
    public const string GoMeteringGroup = "metering-go";

    public const string GoUsageTopic = "hybrid.lab.usage.v1";

    private static readonly (LabPrograms Programs, string[] Go, string[] Rust)[] Built =
    [
        (LabPrograms.Items, ["items"], [RustItemsPackage]),
        (LabPrograms.Pricing, ["pricing"], ["data-plane", "pricing-twin"]),
        (LabPrograms.Metering, ["metering"], ["data-plane", "metering"]),
        (LabPrograms.Interop, [], ["data-plane", "pricing-ffi"]),
    ];

    /// <summary>Folder of <c>go.mod</c> of the Go twins.</summary>
    public static string GoModule { get; } = Path.Combine(Workspace.Root, "Lab/twins/go");

    public static string RustItemsFolder { get; } = Path.Combine(Workspace.Root, "Lab/twins/rust/items");

    /// <summary>Builds what scenarios need, and the load generator.</summary>
    public static async Task BuildAsync(IEnumerable<LabPrograms> needed, Progress progress, CancellationToken cancellationToken)
    {
        var programs = needed.Aggregate(LabPrograms.None, (all, some) => all | some);
        var built = Built.Where(it => programs.HasFlag(it.Programs)).ToList();
        foreach (var command in built.SelectMany(it => it.Go))
            await Programs.BuildGoAsync(GoModule, $"./cmd/{command}", progress, cancellationToken);
        await Programs.BuildRustAsync([.. built.SelectMany(it => it.Rust).Append("loadgen").Distinct()], progress, cancellationToken: cancellationToken);
        if (programs.HasFlag(LabPrograms.Interop))
            await Programs.BuildGoAsync(Path.Combine(Workspace.Root, "Lab/interop/go"), "./cmd/measure", progress, cancellationToken, Programs.CgoLinks());
    }

    public static Twin GoItems(string? database) => Items("Go", Programs.Go("items"), database);

    public static Twin RustItems(string? database) => Items("Rust (Axum)", Programs.Rust("items"), database);

    public static Twin DataPlane(Stores stores) => Pricing("Rust, data-plane", Programs.Rust("data-plane"), stores);

    public static Twin RustPricing(Stores stores) => Pricing("Rust, stock tonic", Programs.Rust("pricing"), stores);

    public static Twin GoPricing(Stores stores) => Pricing("Go, grpc-go", Programs.Go("pricing"), stores);

    public static Twin GoMetering(Stores stores, string name) => Metering("Go, sarama", Programs.Go("metering"), stores, name)
        // Its windows must not be booked a second time.
        .With("Go, sarama", ("GROUP_ID", GoMeteringGroup), ("USAGE_TOPIC", GoUsageTopic));

    public static Twin RustMetering(Stores stores, string name) => Metering("Rust, metering", Programs.Rust("metering"), stores, name);

    /// <summary>Another control plane on the same stores, whose cost is its own.</summary>
    public static Twin ControlPlane(Stores stores) => new("Go, control-plane", Programs.Go("control-plane"), (port, other) => new()
    {
        ["GRPC_PORT"] = $"{port}",
        ["HTTP_PORT"] = $"{other}",
        ["ConnectionStrings__hybriddb"] = stores.Postgres,
        ["ConnectionStrings__kafka"] = stores.Kafka,
        ["HYBRID_KAFKA_STAND_IN"] = stores.KafkaIsStandIn ? "true" : "false",
    });

    private static Twin Items(string name, string program, string? database) => new(name, program, (port, _) =>
    {
        var environment = new Dictionary<string, string> { ["LISTEN"] = $"127.0.0.1:{port}", ["POOL_SIZE"] = "8" };
        if (database is not null)
            environment["DATABASE_URL"] = database;
        return environment;
    });

    private static Twin Pricing(string name, string program, Stores stores) => new(name, program, (port, other) => new()
    {
        ["NODE_ID"] = "lab-" + new string([.. name.Where(char.IsAsciiLetter)]),
        ["GRPC_PORT"] = $"{port}",
        ["HTTP_PORT"] = $"{other}",
        ["STATE_DIR"] = stores.FolderFor(name),
        ["CONTROL_PLANE_GRPC"] = stores.ControlPlaneGrpc,
        ["ConnectionStrings__kafka"] = stores.Kafka,
        ["MAX_CONNECTIONS"] = "1000",
    });

    private static Twin Metering(string name, string program, Stores stores, string id) => new(name, program, (port, _) => new()
    {
        ["NODE_ID"] = id,
        ["HTTP_PORT"] = $"{port}",
        ["ConnectionStrings__kafka"] = stores.Kafka,
    });
}
