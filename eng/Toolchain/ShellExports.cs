namespace Hybrid.Toolchain;

/// <summary>The set-up's answer for a person's shell.</summary>
internal static class ShellExports
{
    public static void Write(ToolSet tools, TextWriter output)
    {
        output.WriteLine($"export PATH='{Path.GetDirectoryName(tools.Go.Program)}':\"$PATH\"");
        foreach (var (name, value) in tools.Go.Environment.Concat(tools.Rust.Environment))
            output.WriteLine(value is null ? $"unset {name}" : $"export {name}='{value}'");
        output.WriteLine($"export HYBRID_RUST_WORKSPACE='{tools.Rust.WorkspaceFolder}'");
    }
}
