namespace Aspire.Hosting.ApplicationModel;

/// <summary>A value from outside, under the configuration key <c>Parameters:{name}</c>.</summary>
public class ParameterResource : Resource, IManifestExpressionProvider, IValueProvider
{
    private readonly Func<string> _value;

    public ParameterResource(string name, Func<ParameterDefault?, string> callback, bool secret = false)
        : base(name)
    {
        Secret = secret;
        _value = () => callback(null);
    }

    public bool Secret { get; }

    public string ValueExpression => $"{{{Name}.value}}";

    /// <exception cref="DistributedApplicationException">No value was given.</exception>
    public ValueTask<string?> GetValueAsync(CancellationToken cancellationToken = default) => ValueTask.FromResult<string?>(_value());
}

/// <summary>Makes a value for a parameter that has none.</summary>
public abstract class ParameterDefault
{
    public abstract string GetDefaultValue();
}
