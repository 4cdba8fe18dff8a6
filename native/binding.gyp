{ "includes": ["mnist_train.gypi"] }
