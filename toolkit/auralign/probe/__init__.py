"""What happens inside a trained model: the flow from speech and instruction into the answers, speech-text CKA, forgetting."""
