using Aspire.Hosting.Processes;

namespace Aspire.Hosting.Running;

/// <summary>The record of processes, once the state directory is taken.</summary>
internal sealed class ProcessRecordsHolder
{
    private ProcessRecords? _records;

    public ProcessRecords Records
    {
        get => _records ?? throw new InvalidOperationException("The state directory is not taken yet.");
        set => _records = value;
    }
}
