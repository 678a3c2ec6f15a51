"""What may be sent when: quotas, windows, holds, the brake, the ledger."""
